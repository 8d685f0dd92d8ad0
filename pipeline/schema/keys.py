"""Every key that params.yaml may have, read from the schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from pipeline.schema.schema import Params

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


@cache
def settings() -> tuple[Setting, ...]:
    """Every key of the schema, in its order, whatever kind of network or bottleneck it belongs to."""
    whole = Params.model_json_schema()
    # A variant may set any key of `train`, which its own schema takes as plain data.
    whole["$defs"]["VariantConfig"]["properties"]["train"]["$ref"] = "#/$defs/TrainConfig"
    return tuple(_keys(whole, whole["$defs"], (), ()))


def below(setting: Setting) -> list[Setting]:
    """The keys of a section, also those of sections in it; none for a key that is no section."""
    depth = len(setting.path)
    return [other for other in settings() if other.path[:depth] == setting.path and len(other.path) > depth]


def _keys(spec: Any, defs: Any, path: Path, given: Any, kind: str | None = None) -> Iterator[Setting]:
    """The keys of an object of the JSON schema.

    Args:
        spec: the object's part of the schema.
        defs: what `$ref` refers to.
        path: of the object.
        given: as in `Setting`.
        kind: a key to leave out, since it only says which of several objects this one is.
    """
    for name, about in spec["properties"].items():
        if name != kind:
            default = as_yaml(about["default"]) if "default" in about and not _objects(about) else ""
            if path[:3] == ("models", ANY, "train"):
                default = f"that of {'.'.join((*path[2:], name))}"
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
