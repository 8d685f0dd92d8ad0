"""Read params.yaml and validate its sections.

Each folder of the library declares the schema of its section. A stage reads only the sections that it uses, which keeps
its DVC dependencies few; `pipeline.schema.schema` validates the whole file.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.core.errors import ParamsError
from pipeline.core.text import normalise, printable

PARAMS_FILE = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy, scikit-learn and PyTorch take
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]  # of a layer, a latent, a batch
Weight = Annotated[float, Field(ge=0, le=1_000_000)]
Betas = Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]  # of Adam


class Section(BaseModel):
    """Base of all schemas: immutable, and an unknown key is an error that suggests a known one.

    Numbers are finite, and true and false are no numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping):
            for key, value in raw.items():
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key '{key}'; {suggest(str(key), cls.model_fields)}")
                is_bool = any(isinstance(item, bool) for item in (value if isinstance(value, list) else [value]))
                if is_bool and cls.model_fields[key].annotation is not bool:
                    raise ValueError(f"{key}: Input should not be true or false")
        return raw


class RuntimeConfig(Section):
    """Hardware and checkpoints. A change reruns only the report."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, mps, cuda, or one GPU such as cuda:1; auto prefers a GPU",
    )
    workers: int | None = Field(None, ge=1, le=1024, description="processes that decode audio; null: one per core")
    checkpoint_seconds: float = Field(
        60.0,
        ge=0,
        le=1e6,
        description="seconds between two checkpoints, from which a stopped training resumes; 0: after each step",
    )


Schema = TypeVar("Schema", bound=BaseModel)
MESSAGES = {  # by pydantic's type of an error
    **dict.fromkeys(("model_type", "model_attributes_type"), "Input should be a section with keys of its own"),
    "int_parsing_size": "Input is too large",
    "union_tag_not_found": "the key {discriminator} is missing",
}


MAX_NAMES = 20  # that an error message lists


def suggest(name: str, known: Any) -> str:
    """The end of an error message about an unknown name: the closest known name, or the known names."""
    names = sorted(map(str, known))
    by_form = {normalise(other).casefold(): other for other in names}
    matches = difflib.get_close_matches(normalise(name).casefold(), by_form, n=1)
    if not matches:
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        return f"known are: {', '.join(names[:MAX_NAMES]) or 'none'}{more}"
    match = by_form[matches[0]]
    if normalise(match) == normalise(name):
        return f"'{match}' only looks the same: copy its characters"
    return f"did you mean '{match}'?"


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice in one mapping; PyYAML would silently take its last value."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if first := lines.get(name := (key.tag, str(key.value))):
                problem = f"the key '{key.value}' occurs twice in one section, first in line {first}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[name] = key.start_mark.line + 1
        return node


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The content of a YAML file.

    ParamsError if it is missing, not UTF-8, not YAML, not a mapping, or has a key twice in one mapping.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}; run this from the project's folder") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise ParamsError(f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)}); correct it") from error
    if not isinstance(raw, dict):
        raise ParamsError(f"{path}: expected sections such as 'source:' at the top level, not {type(raw).__name__}")
    return raw


def read_section(schema: type[Schema], *keys: str, raw: Mapping[str, Any] | None = None) -> Schema:
    """Read and `validate` a section, such as `read_section(WindowsConfig, "windows")`; a missing one is empty."""
    value: Any = read_params() if raw is None else raw
    for key in keys:
        value = (value or {}).get(key)
    return validate(schema, {} if value is None else value, ".".join(keys))


def get_entry(raw: Mapping[str, Any], group: str, name: str) -> Any:
    """The entry `name` of a section with named entries, such as `models`; ParamsError if there is none."""
    entries = raw.get(group) or {}
    if name not in entries:
        raise ParamsError(f"{PARAMS_FILE}: {group}.{name}: no such entry; {suggest(name, entries)}")
    return entries[name]


def validate(schema: type[Schema], raw: Any, key: str) -> Schema:
    """Validate `raw`, the value at the dotted path `key` of params.yaml; ParamsError names the first wrong key."""
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        errors = error.errors()
        keys = _keys(errors[0]["loc"], raw)
        inner = [item for item in errors if _keys(item["loc"], raw)[: len(keys)] == keys]
        first = max(inner, key=lambda item: len(_keys(item["loc"], raw)))  # the branch of a union that fits best
        keys, value = _keys(first["loc"], raw), first["input"]
        context = first.get("ctx", {})
        own = MESSAGES.get(first["type"], "").format(**context)
        message = str(context.get("error") or own or first["msg"])
        name, _, rest = message.partition(": ")
        if isinstance(value, Mapping) and name in value:  # a validator of the section names one of its keys
            keys, message, value = [*keys, name], rest, value[name]
        path = printable(".".join([key] * bool(key) + keys))
        actual = "" if isinstance(value, Mapping) or "unknown key" in message else f" (it is {value!r})"
        raise ParamsError(f"{PARAMS_FILE}: {f'{path}: ' if path else ''}{message}{actual}") from error


def _keys(location: tuple[int | str, ...], raw: Any) -> list[str]:
    """The keys of pydantic's `location`, without the branches of unions, which do not occur in the file."""
    keys: list[str] = []
    for part in location:
        if part == "[key]":  # of a name, which is the part before
            continue
        if isinstance(raw, Mapping) and part not in raw and part in (raw.get("type"), raw.get("kind")):
            continue
        if isinstance(part, str) and raw is not None and not isinstance(raw, Mapping):  # such as `int` of int | list
            continue
        keys.append(str(part))
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            raw = None
    return keys


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as pairs of a dotted key and a value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
