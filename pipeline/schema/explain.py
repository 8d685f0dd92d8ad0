"""Explain the keys of params.yaml: what a key means, what it takes, its default, and its value in the file.

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
from pipeline.schema.schema import Params, load
from pipeline.training.config import TrainConfig

TYPES = {int: "whole number", float: "number", bool: "true | false", NoneType: "null"}
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
OVERRIDE = re.compile(r"models\.[^.]+\.(train(\..+)?)$")  # a key of `train` that one variant overrides


@dataclass(frozen=True)
class Key:
    """A key of the file, or a section of keys; also a key of a type that the file does not choose."""

    name: str  # dotted
    meaning: str
    takes: str  # type and range; empty for a section
    default: str  # as YAML
    given: dict[str, str]  # type keys, and the types that this key belongs to
    is_used: bool
    value: Any = None
    choices: tuple[tuple[str, str], ...] = ()  # of a type key: each type and its meaning


def keys(model: type[BaseModel], values: Any, prefix: str, given: dict[str, str], is_used: bool) -> Iterator[Key]:
    """Every key of a section: its schema, its values with defaults, its name and a dot; the rest as in `Key`."""
    for name, field in model.model_fields.items():
        if f"{prefix}{name}" not in given:  # else a type key, which its union has given already
            value = values.get(name) if isinstance(values, Mapping) else None
            meaning = field.description or _summary(model)
            yield from _field_keys(field, f"{prefix}{name}", meaning, value, given, is_used)


def _field_keys(
    field: FieldInfo, name: str, meaning: str, value: Any, given: dict[str, str], is_used: bool
) -> Iterator[Key]:
    annotation: Any = TrainConfig if OVERRIDE.match(name) and name.count(".") == 2 else field.annotation
    models = [part for part in get_args(annotation) or [annotation] if _is_model(part)]
    default = "none, it must be given" if field.is_required() else to_yaml(field.get_default())
    if get_origin(annotation) is dict:  # sections by name
        yield Key(name, meaning, "", "", given, is_used)
        section = FieldInfo.from_annotation(get_args(annotation)[1])
        section_meaning = _summary(section.annotation) if _is_model(section.annotation) else "which kind"
        for entry, entry_value in value.items() if isinstance(value, Mapping) else ():
            yield from _field_keys(section, f"{name}.{entry}", str(section_meaning), entry_value, given, is_used)
    elif field.discriminator:  # one of several types
        type_key, type_name = f"{name}.{field.discriminator}", str(field.discriminator)
        types = {get_args(model.model_fields[type_name].annotation)[0]: model for model in models}
        choices = tuple((kind, _summary(model)) for kind, model in types.items())
        default = default if field.is_required() else getattr(field.default, type_name)
        chosen = value.get(type_name) if isinstance(value, Mapping) else None
        yield Key(name, meaning, "", "", given, is_used)
        yield Key(type_key, meaning, " | ".join(types), default, given, is_used, chosen, choices)
        for kind, model in types.items():
            is_chosen = is_used and kind == chosen
            yield from keys(model, value if is_chosen else None, f"{name}.", {**given, type_key: kind}, is_chosen)
    else:
        takes = "" if _is_model(annotation) else _describe_type(annotation, field.metadata)
        default = f"that of {override[1]}" if (override := OVERRIDE.match(name)) else default
        yield Key(name, meaning, takes, default, given, is_used, value)
        for model in models:
            yield from keys(model, value, f"{name}.", given, is_used and value is not None)


def _summary(model: Any) -> str:
    """The first line of a docstring."""
    return (getdoc(model) or "").split("\n")[0].removesuffix(".")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


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
        not_empty = ", not empty" if any(hasattr(constraint, "min_length") for constraint in constraints) else ""
        return f"list{not_empty}, each: {_describe_type(args[0], [])}"
    limits = [f"{LIMITS[n]} {getattr(c, n):g}" for c in constraints for n in LIMITS if hasattr(c, n)]
    word = TYPES.get(annotation, "keys of its own" if _is_model(annotation) else "text")
    return f"{word}, {' and '.join(limits)}" if annotation in (int, float) and limits else word


def read_keys() -> tuple[list[Key], str]:
    """Every key, and the reason why there are no values if params.yaml is not valid."""
    values, problem = read_params(), ""
    try:
        values = load(values).model_dump(mode="json")
        for variant in values["models"].values():  # null: a baseline is not trained
            variant["train"] = values["train"] | variant["train"] if variant["loss"] else None
    except ParamsError as error:
        problem = f"no values: {error}"
    return list(keys(Params, values, "", {}, not problem)), problem


def explain(name: str) -> list[dict[str, Any]]:
    """Each key or section of this name, or that ends like it; a section with its keys.

    Raises:
        ParamsError: there is no such key.
    """
    every, problem = read_keys()
    matches = [key for key in every if key.name == name]
    if not matches or name.startswith("train."):  # variants may override it
        matches = [key for key in every if f".{key.name}".endswith(f".{name}")]
    matches = sorted([key for key in matches if key.is_used] or matches, key=lambda key: bool(OVERRIDE.match(key.name)))
    if not matches:
        ends = {key.name.split(".", n)[-1] for key in every for n in range(key.name.count(".") + 1)}
        nearest = difflib.get_close_matches(name, ends, n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"its sections are: {', '.join(Params.model_fields)}"
        raise ParamsError(f"{PARAMS_FILE} has no key '{name}'; {hint}")
    entries = _group(matches, problem)
    for entry in entries:
        prefixes = tuple(f"{full_name}." for full_name in entry["names"])
        inner = [key for key in every if key.name.startswith(prefixes) and key.takes]
        if len({key.name.split(".")[1] for key in inner}) == 1:  # one variant: not the keys of other types
            inner = [key for key in inner if key.is_used and not isinstance(key.value, Mapping)] or inner
        entry["keys"] = _group(inner, problem)
    return entries


def _group(same: list[Key], problem: str) -> list[dict[str, Any]]:
    """The same key of several variants as one entry, with all of its values."""
    lines = dict(_line_numbers(yaml.compose(PARAMS_FILE.read_text(encoding="utf-8"), yaml.SafeLoader), ""))
    entries: dict[tuple[Any, ...], dict[str, Any]] = {}
    for key in same:
        given = {_general(type_key): kind for type_key, kind in key.given.items()}
        entry: dict[str, Any] = {
            "key": _general(key.name),
            "meaning": key.meaning,
            "takes": key.takes,
            "default": key.default,
        }
        entry |= {"given": given, "choices": dict(key.choices), "names": [], "values": [], "problem": problem}
        entry = entries.setdefault((entry["key"], key.meaning, *given.values()), entry)
        entry["names"].append(key.name)
        name = key.name if key.name in lines else OVERRIDE.sub(r"\1", key.name)
        is_value = key.is_used and key.takes and not isinstance(key.value, Mapping)
        if is_value and name not in [value["key"] for value in entry["values"]]:
            origin = f"{PARAMS_FILE}, line {lines[name]}" if name in lines else "default"
            entry["values"].append({"key": name, "value": key.value, "origin": origin})
    return list(entries.values())


def _general(name: str) -> str:
    """The name with `*` for the variant or representation; a variant's `train` counts as the section `train`."""
    return re.sub(r"^(models|representations)\.[^.]+", r"\1.*", OVERRIDE.sub(r"\1", name))


def _line_numbers(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    """The dotted keys of a YAML document, and the line of each."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _line_numbers(value, f"{prefix}{key.value}.")


def to_lines(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The result of `explain` as text."""
    for entry in entries:
        title = entry["names"][0] if len(entry["names"]) == 1 else entry["key"]
        values = [f"{value['key']}: {to_yaml(value['value'])} ({value['origin']})" for value in entry["values"]]
        values = [text.removeprefix(f"{title}: ") if len(values) == 1 else text for text in values]
        yield f"{title}\n  {entry['meaning']}"
        yield from _section_lines(entry) if entry["keys"] else _key_lines(entry)
        if entry["problem"] or not entry["keys"] or len(values) == 1:
            yield _row("here", values or [entry["problem"] or "not in use"])


def _key_lines(entry: dict[str, Any]) -> Iterator[str]:
    types = [f"{type_key.removeprefix('models.*.')} {kind}" for type_key, kind in entry["given"].items()]
    if types:
        yield _row("with", types)
    yield _row("takes", [f"{kind}: {meaning}" for kind, meaning in entry["choices"].items()] or [entry["takes"]])
    yield _row("default", [entry["default"]])


def _row(title: str, texts: list[str]) -> str:
    return f"  {title:9}" + f"\n{'':11}".join(texts)


def _section_lines(section: dict[str, Any]) -> Iterator[str]:
    """A line for each key: its value, if there is only one, and its meaning."""
    rows = []
    for entry in section["keys"]:
        text = to_yaml(entry["values"][0]["value"]) if entry["values"] and len(entry["names"]) == 1 else ""
        types = f" [{', '.join(entry['given'].values())}]" if entry["given"] and not text else ""
        meaning = entry["choices"].get(text, entry["meaning"]) + types
        rows.append(
            (entry["key"].removeprefix(f"{section['key']}."), text if len(text) <= 24 else f"{text[:21]}...", meaning)
        )
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    yield from (f"  {name:{widths[0]}}  {text:{widths[1]}}  {meaning}" for name, text, meaning in rows)


def to_yaml(value: Any) -> str:
    """A value on one line, as params.yaml would have it."""
    value = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return yaml.safe_dump(value, default_flow_style=True, width=1e9, allow_unicode=True).removesuffix("...\n").strip()
