"""Read params.yaml and check it against the schema that each folder of the library declares.

A stage asks for just the sections that it uses (`read_section`), so that its DVC dependencies stay few. The whole file is
checked by `pipeline.schema.schema`.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core.errors import ParamsError

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """Base of every section: immutable, and a key that it does not know is an error that names its neighbours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            for key in raw:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key '{key}'; {suggest(str(key), cls.model_fields)}")
        return raw


class RuntimeConfig(Section):
    """Where the work runs. No result depends on it."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, mps, cuda or one GPU as cuda:1; auto: a GPU where there is one",
    )
    workers: int | None = Field(None, ge=1, description="processes that decode audio; null: one per core")
    checkpoint_seconds: float = Field(
        60.0,
        ge=0,
        description="seconds between two saves of a training, from which it goes on when it was stopped; 0: each step",
    )


Schema = TypeVar("Schema", bound=BaseModel)


def suggest(name: str, known: Any) -> str:
    """Half a sentence that helps after a wrong name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(sorted(known)) or 'none'}"


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The file as plain data.

    Raises:
        ParamsError: missing, unreadable, not YAML, or not a mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}; run this from the project's folder") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ParamsError(f"{path}{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected sections such as 'source:' at the top level, found {type(raw).__name__}")
    return raw


def read_section(schema: type[Schema], *keys: str, raw: Mapping[str, Any] | None = None) -> Schema:
    """One validated section, e.g. `read_section(WindowsConfig, "windows")`; an absent one takes the schema's defaults.

    Raises:
        ParamsError: a bad value or an unknown key, named in full.
    """
    value: Any = read_params() if raw is None else raw
    for key in keys:
        value = (value or {}).get(key)
    return validate(schema, {} if value is None else value, ".".join(keys))


def get_entry(raw: Mapping[str, Any], group: str, name: str) -> Any:
    """The entry `name` of a dictionary section such as `models`.

    Raises:
        ParamsError: there is none of that name.
    """
    entries = raw.get(group) or {}
    if name not in entries:
        raise ParamsError(f"{PARAMS_FILE}: {group}.{name}: no such entry; {suggest(name, entries)}")
    return entries[name]


def validate(schema: type[Schema], raw: Any, where: str) -> Schema:
    """Validate `raw` as `schema`; `where` is its dotted place in the file.

    Raises:
        ParamsError: with the first error's full key.
    """
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where] * bool(where) + _path(first["loc"], raw))
        message = str(first.get("ctx", {}).get("error") or first["msg"])
        shown = first["input"]
        got = "" if isinstance(shown, Mapping) or "unknown key" in message else f" (it is {shown!r})"
        raise ParamsError(f"{PARAMS_FILE}: {f'{key}: ' if key else ''}{message}{got}") from error


def _path(loc: tuple[int | str, ...], raw: Any) -> list[str]:
    """An error's place as keys of the file: pydantic also names the branch of a union, which no key stands for."""
    keys: list[str] = []
    for step in loc:
        if isinstance(raw, Mapping) and step not in raw and step in (raw.get("type"), raw.get("kind")):
            continue
        keys.append(str(step))
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            raw = None
    return keys


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted keys with their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
