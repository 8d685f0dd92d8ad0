"""What the keys of params.yaml mean and are: the schema's words on each, and its value here."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, read_params
from pipeline.schema.keys import ANY, Path, Setting, settings
from pipeline.schema.schema import Params, load


@dataclass(frozen=True)
class Value:
    """What a key of the file is, and where that is written."""

    key: str
    value: Any
    origin: str


class File:
    """params.yaml as it is here, and why it does not hold, if so: then there are no values."""

    def __init__(self) -> None:
        self.raw = read_params()
        self.lines = dict(_lines(yaml.compose(PARAMS_FILE.read_text(encoding="utf-8"), yaml.SafeLoader)))
        self.filled: dict[str, Any] | None = None
        self.problem = ""
        try:
            self.filled = load(self.raw).model_dump(mode="json")
        except ParamsError as error:
            self.problem = str(error)

    def keys(self, setting: Setting) -> list[str]:
        """A setting's keys in this file: one, or one for each variant or representation."""
        section, *rest = setting.path
        if ANY not in rest:
            return [setting.key]
        return [".".join((section, name, *rest[1:])) for name in self.names(section)]

    def names(self, section: str) -> list[str]:
        """Of variants or representations; none where the section does not hold."""
        found = self.raw.get(section)
        return [str(name) for name in found] if isinstance(found, Mapping) else []

    def values(self, setting: Setting, keys: list[str]) -> list[Value]:
        """What a setting's keys are, each once: many variants may have one default of `train`, and some override it."""
        own = next((s for s in settings() if s.path == ("models", ANY, *setting.path)), None)
        over = [(own, key) for key in self.keys(own) if key in self.lines] if own else []
        found = [self.value(each, key) for each, key in [*((setting, key) for key in keys), *over]]
        return list({value.key: value for value in found if value}.values())

    def value(self, setting: Setting, key: str) -> Value | None:
        """What `key` is; None where the kind of network, bottleneck or prior here has no such key."""
        path = tuple(key.split("."))
        for place, kind in setting.given:
            if _at(self.filled, (*path[:2], *place[2:])) != kind:
                return None
        inherits = setting.path[:3] == ("models", ANY, "train") and len(path) > 3
        if inherits and _at(self.filled, (*path[:2], "loss")) is None:
            return None  # a baseline
        if inherits and key not in self.lines:
            key, path = ".".join(path[2:]), path[2:]
        found = _at(self.filled, path)
        written = f"{PARAMS_FILE}, line {self.lines[key]}" if key in self.lines else "default"
        return None if found is _ABSENT else Value(".".join(path), found, written)


_ABSENT = object()


def _at(values: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(values, Mapping) or step not in values:
            return _ABSENT
        values = values[step]
    return values


def _lines(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, int]]:
    """The dotted keys of a YAML document, and the lines on which they stand."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _lines(value, f"{prefix}{key.value}.")


def find(key: str, file: File) -> dict[Setting, list[str]]:
    """The settings that a dotted key may mean, each with the full keys of the file that it is then.

    Args:
        key: from the top, or any end of such a key: `bottleneck.latent` is that of all variants.
        file: params.yaml.

    Raises:
        ParamsError: there is no such key.
    """
    places = {setting: file.keys(setting) for setting in settings()}
    for fits in (str.__eq__, lambda full, asked: full.endswith(f".{asked}")):
        found = {s: [k for k in keys if fits(k, key) or fits(s.key, key)] for s, keys in places.items()}
        found = {setting: keys for setting, keys in found.items() if keys}
        if found and file.filled is not None:  # of equal keys of several kinds, those of the kinds that are chosen
            used = {s: [k for k in keys if file.value(s, k) is not None] for s, keys in found.items()}
            found = {s: keys for s, keys in used.items() if keys} or {s: [] for s in found}
        if found:  # those of `train` say which variants have others
            return {s: keys for s, keys in found.items() if s.path[2:] not in {base.path for base in found}}
    paths = [full.split(".") for keys in places.values() for full in keys]
    ends = {".".join(path[start:]) for path in paths for start in range(len(path))}
    near = difflib.get_close_matches(key, ends, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"its sections are: {', '.join(Params.model_fields)}"
    raise ParamsError(f"{PARAMS_FILE} has no key '{key}'; {hint}")
