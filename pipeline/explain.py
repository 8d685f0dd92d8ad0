"""What a key of params.yaml means, takes and is, read from the schema and the file."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from pipeline.errors import ParamsError
from pipeline.params import FILE, read
from pipeline.schema import Params, load

ANY = "*"  # in a path: the name of a variant or a representation
Path = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A key that the schema has, or a section of keys."""

    path: Path
    meaning: str
    takes: str  # type, choices, range; empty for a section
    default: str  # as YAML; empty where there is none
    given: tuple[tuple[Path, str], ...] = ()  # kinds that must be chosen for the key to exist: where, and which
    choices: tuple[tuple[str, str], ...] = ()  # of a kind: each with its meaning

    @property
    def key(self) -> str:
        """Dotted."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Value:
    """What a key of the file is, and where that is written."""

    key: str
    value: Any
    origin: str


class File:
    """params.yaml as it is here, and why it does not hold, if so: then there are no values."""

    def __init__(self) -> None:
        self.raw = read()
        self.lines = dict(_lines(yaml.compose(FILE.read_text(encoding="utf-8"), yaml.SafeLoader)))
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
        written = f"{FILE}, line {self.lines[key]}" if key in self.lines else "default"
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


@cache
def settings() -> tuple[Setting, ...]:
    """Every key of the schema, in its order, whatever kind of network or bottleneck it belongs to."""
    whole = Params.model_json_schema()
    # A variant may set any key of `train`, which its own schema takes as plain data.
    whole["$defs"]["VariantConfig"]["properties"]["train"]["$ref"] = "#/$defs/TrainConfig"
    return tuple(_keys(whole, whole["$defs"], (), ()))


def _keys(spec: Any, defs: Any, path: Path, given: Any, kind: str | None = None) -> Iterator[Setting]:
    """The keys of an object of the JSON schema, but not `kind`, which says which object it is."""
    for name, about in spec["properties"].items():
        if name != kind:
            default = as_yaml(about["default"]) if "default" in about and not _objects(about) else ""
            if path[:3] == ("models", ANY, "train"):
                default = ".".join(("that of", *path[2:], name)).replace(".", " ", 1)
            meaning = about.get("description") or ("const" in about and spec["description"]) or ""
            yield Setting((*path, name), meaning, _takes(about, defs), default, given)
            yield from _below(about, defs, (*path, name), given)


def _below(about: Any, defs: Any, path: Path, given: Any) -> Iterator[Setting]:
    """What lies below a key that holds one object, one of several kinds of objects, or objects by name."""
    if "oneOf" in about:
        kind, mapping = about["discriminator"]["propertyName"], about["discriminator"]["mapping"]
        found = {value: defs[ref.rsplit("/", 1)[-1]] for value, ref in mapping.items()}
        choices = tuple((value, spec["description"]) for value, spec in found.items())
        default = about.get("default", {}).get(kind, "")
        yield Setting((*path, kind), about.get("description", "which kind"), " | ".join(found), default, given, choices)
        for value, spec in found.items():
            yield from _keys(spec, defs, path, (*given, ((*path, kind), value)), kind)
    elif "$ref" in about:
        yield from _keys(defs[about["$ref"].rsplit("/", 1)[-1]], defs, path, given)
    elif named := about.get("patternProperties"):
        (inner,) = named.values()
        spec = defs[inner["$ref"].rsplit("/", 1)[-1]] if "$ref" in inner else {}
        yield Setting((*path, ANY), spec.get("description", "one of them"), "", "", given)
        yield from _below(inner, defs, (*path, ANY), given)
    for part in about.get("anyOf", ()):
        yield from _below(part, defs, path, given)


def _objects(about: Any) -> bool:
    return any(name in about for name in ("$ref", "oneOf", "patternProperties"))


def _takes(about: Any, defs: Any) -> str:
    """Type, choices and range in words; empty for an object."""
    if _objects(about):
        return ""
    if "anyOf" in about:
        return " or ".join(_takes(part, defs) or "keys of its own" for part in about["anyOf"])
    if "enum" in about or "const" in about:
        return " | ".join(map(str, about.get("enum") or [about["const"]]))
    if about["type"] == "array":
        return f"list{', not empty' * bool(about.get('minItems'))}, each: {_takes(about['items'], defs)}"
    names = {"integer": "whole number", "number": "number", "boolean": "true | false", "string": "text"}
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = [f"{word} {about[name]:g}" for name, word in words.items() if name in about]
    return f"{names.get(about['type'], about['type'])}{', ' * bool(limits)}{' and '.join(limits)}"


def as_yaml(value: Any) -> str:
    """On one line, as params.yaml would have it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1e9, allow_unicode=True)
    return text.removesuffix("...\n").strip()


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
    raise ParamsError(f"{FILE} has no key '{key}'; {hint}")


def below(setting: Setting) -> list[Setting]:
    """The keys of a section, also those of sections in it; none for a key that is no section."""
    depth = len(setting.path)
    return [other for other in settings() if other.path[:depth] == setting.path and len(other.path) > depth]
