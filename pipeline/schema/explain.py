"""Explain the keys of params.yaml: meaning, allowed values, default, and the value in the file.

All of this is read from the pydantic models and from the file. `*` stands for any variant or representation.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, read_params
from pipeline.core.text import align
from pipeline.schema.schema import Params, load
from pipeline.training.config import TrainConfig

TYPES = {int: "whole number", float: "number", bool: "true | false", NoneType: "null"}
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
MAX_VALUE_LENGTH = 24  # characters of a value in the list of a section
OVERRIDE = re.compile(r"models\.[^.]+\.(train(\..+)?)$")  # a key of `train` that one variant overrides


@dataclass(frozen=True)
class Key:
    """A key of the file, or a section of keys; also a key of a type that the file does not use."""

    name: str  # dotted
    meaning: str
    takes: str  # type and range; empty for a section
    default: str  # as YAML
    given: dict[str, str]  # type keys, and the types that this key belongs to
    is_used: bool
    value: Any = None
    choices: tuple[tuple[str, str], ...] = ()  # each type and its meaning, if this is a type key


def explain(name: str) -> list[dict[str, Any]]:
    """Describe each key or section whose name is `name` or ends with it; ParamsError if there is none.

    A section has the list `keys`.
    """
    all_keys, problem = read_keys()
    matches = [key for key in all_keys if name in (key.name, OVERRIDE.sub(r"\1", key.name))]
    if not matches:
        matches = [key for key in all_keys if f".{key.name}".endswith(f".{name}")]
    if not matches:
        ends = {key.name.split(".", n)[-1] for key in all_keys for n in range(key.name.count(".") + 1)}
        nearest = difflib.get_close_matches(name, ends, n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"its sections are: {', '.join(Params.model_fields)}"
        raise ParamsError(f"{PARAMS_FILE} has no key '{name}'; {hint}")
    matches = [key for key in matches if key.is_used] or matches
    entries = _describe(sorted(matches, key=lambda key: bool(OVERRIDE.match(key.name))), problem)
    for entry in entries:
        inner = [key for key in all_keys if key.name.startswith(tuple(f"{n}." for n in entry["names"])) and key.takes]
        if len({key.name.split(".")[1] for key in inner}) == 1:  # one variant: not the keys of other types
            inner = [key for key in inner if key.is_used and not isinstance(key.value, Mapping)] or inner
        entry["keys"] = _describe(inner, problem)
    return entries


def to_lines(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The result of `explain` as text."""
    for entry in entries:
        title = entry["names"][0] if len(entry["names"]) == 1 else entry["key"]
        values = [f"{value['key']}: {_to_yaml(value['value'])} ({value['origin']})" for value in entry["values"]]
        if len(values) == 1:
            values = [values[0].removeprefix(f"{title}: ")]
        yield f"{title}\n  {entry['meaning']}"
        if entry["keys"]:
            yield from _section_lines(entry)
            rows = {"here": values if len(values) == 1 else [entry["problem"]]}
        else:
            rows = {
                "with": [f"{type_key.removeprefix('models.*.')} {kind}" for type_key, kind in entry["given"].items()],
                "takes": [f"{kind}: {text}" for kind, text in entry["choices"].items()] or [entry["takes"]],
                "default": [entry["default"]],
                "here": values or [entry["problem"] or "not in use"],
            }
        yield from (f"  {word:9}" + f"\n{'':11}".join(texts) for word, texts in rows.items() if any(texts))


def _section_lines(section: dict[str, Any]) -> Iterator[str]:
    """A line for each key: its value, if there is only one, and its meaning."""
    rows = []
    for entry in section["keys"]:
        value = _to_yaml(entry["values"][0]["value"]) if entry["values"] and len(entry["names"]) == 1 else ""
        types = f" [{', '.join(entry['given'].values())}]" if entry["given"] and not value else ""
        text = value if len(value) <= MAX_VALUE_LENGTH else f"{value[: MAX_VALUE_LENGTH - 3]}..."
        meaning = entry["choices"].get(value, entry["meaning"]) + types
        rows.append((entry["key"].removeprefix(f"{section['key']}."), text, meaning))
    yield from (f"  {line}" for line in align(rows))


def read_keys() -> tuple[list[Key], str]:
    """Every key, and an error text. If params.yaml is not valid, the keys have no values."""
    values, problem = read_params(), ""
    try:
        values = load(values).model_dump(mode="json")
        for variant in values["models"].values():  # null: a baseline is not trained
            variant["train"] = values["train"] | variant["train"] if variant["loss"] else None
    except ParamsError as error:
        problem = f"no values: {error}"
    return list(_section_keys(Params, values, "", {}, not problem)), problem


def _describe(keys: list[Key], problem: str) -> list[dict[str, Any]]:
    """An entry for each key; the same key of several variants is one entry, with all values."""
    lines = dict(_line_numbers(yaml.compose(PARAMS_FILE.read_text(encoding="utf-8"), yaml.SafeLoader), ""))
    entries: dict[tuple[Any, ...], dict[str, Any]] = {}
    for key in keys:
        entry = {"key": _general(key.name)} | {name: getattr(key, name) for name in ("meaning", "takes", "default")}
        entry["given"] = {_general(type_key): kind for type_key, kind in key.given.items()}
        entry |= {"choices": dict(key.choices), "names": [], "values": [], "problem": problem}
        entry = entries.setdefault((entry["key"], key.meaning, *key.given.values()), entry)
        entry["names"].append(key.name)
        name = key.name if key.name in lines else OVERRIDE.sub(r"\1", key.name)
        is_value = key.is_used and key.takes and not isinstance(key.value, Mapping)
        if is_value and name not in [value["key"] for value in entry["values"]]:
            origin = f"{PARAMS_FILE}, line {lines[name]}" if name in lines else "default"
            entry["values"].append({"key": name, "value": key.value, "origin": origin})
    return list(entries.values())


def _general(name: str) -> str:
    """The name with `*` for the variant or representation; a variant's `train` counts as the section `train`."""
    return re.sub(r"^(models|representations|vocoders)\.[^.]+", r"\1.*", OVERRIDE.sub(r"\1", name))


def _line_numbers(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    """The dotted keys of a YAML document, and the line of each."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _line_numbers(value, f"{prefix}{key.value}.")


def _section_keys(
    model: type[BaseModel], values: Any, prefix: str, given: dict[str, str], is_used: bool
) -> Iterator[Key]:
    """Every key below a section; `values` is the section with its defaults, or None if the file lacks it."""
    for name, field in model.model_fields.items():
        if f"{prefix}{name}" not in given:  # else the type key, which `_field_keys` has yielded
            value = values.get(name) if isinstance(values, Mapping) else None
            meaning = field.description or _summary(model)
            yield from _field_keys(field, f"{prefix}{name}", meaning, value, given, is_used)


def _field_keys(
    field: FieldInfo, name: str, meaning: str, value: Any, given: dict[str, str], is_used: bool
) -> Iterator[Key]:
    """The key of a field, and every key below it."""
    override = OVERRIDE.match(name)
    annotation: Any = TrainConfig if override and override[1] == "train" else field.annotation
    models = [part for part in get_args(annotation) or [annotation] if _is_model(part)]
    default = "none, it must be given" if field.is_required() else _to_yaml(field.get_default())
    if get_origin(annotation) is dict:  # sections with names
        yield Key(
            name, meaning, "" if value else "sections, each with a name that you choose", default, given, is_used, value
        )
        section = FieldInfo.from_annotation(get_args(annotation)[1])
        meaning = _summary(section.annotation) if _is_model(section.annotation) else "which kind"
        for entry, entry_value in value.items() if isinstance(value, Mapping) else ():
            yield from _field_keys(section, f"{name}.{entry}", meaning, entry_value, given, is_used)
    elif field.discriminator:  # a section of one of several types
        type_name = str(field.discriminator)
        types = {get_args(model.model_fields[type_name].annotation)[0]: model for model in models}
        choices = tuple((kind, _summary(model)) for kind, model in types.items())
        default = default if field.is_required() else getattr(field.default, type_name)
        used_type = value.get(type_name) if isinstance(value, Mapping) else None
        yield Key(name, meaning, "", "", given, is_used)
        yield Key(f"{name}.{type_name}", meaning, " | ".join(types), default, given, is_used, used_type, choices)
        for kind, model in types.items():
            types_given, is_type_used = given | {f"{name}.{type_name}": kind}, is_used and kind == used_type
            yield from _section_keys(model, value if is_type_used else None, f"{name}.", types_given, is_type_used)
    else:
        takes = "" if _is_model(annotation) else _describe_type(annotation, field.metadata)
        yield Key(name, meaning, takes, f"value of {override[1]}" if override else default, given, is_used, value)
        for model in models:
            yield from _section_keys(model, value, f"{name}.", given, is_used and value is not None)


def _describe_type(annotation: Any, constraints: list[Any]) -> str:
    """Type, choices and range in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        field = FieldInfo.from_annotation(annotation)
        return _describe_type(field.annotation, field.metadata)
    if origin in (Union, UnionType):
        return " or ".join(_describe_type(part, constraints) for part in args)
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin is list:
        lengths = {n: getattr(c, n) for c in constraints for n in ("min_length", "max_length") if hasattr(c, n)}
        number = f" of {lengths['max_length']}" if "max_length" in lengths else ", not empty" if lengths else ""
        return f"list{number}, each: {_describe_type(args[0], [])}"
    limits = [f"{LIMITS[n]} {getattr(c, n):.10g}" for c in constraints for n in LIMITS if hasattr(c, n)]
    word = TYPES.get(annotation, "keys of its own" if _is_model(annotation) else "text")
    return f"{word}, {' and '.join(limits)}" if annotation in (int, float) and limits else word


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _summary(model: Any) -> str:
    """The first line of a docstring."""
    return (getdoc(model) or "").split("\n")[0].removesuffix(".")


def _to_yaml(value: Any) -> str:
    """A value on one line, as params.yaml would have it."""
    value = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return yaml.safe_dump(value, default_flow_style=True, width=1e9, allow_unicode=True).removesuffix("...\n").strip()
