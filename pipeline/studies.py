"""Studies, studies/<name>.yaml: a base params file, what is changed in it, which variants are made of its own."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from pipeline import schema
from pipeline.errors import ParamsError
from pipeline.params import FILE, Strict, parse, read, suggest

FOLDER = Path("studies")
ENTRIES = ("models", "representations")  # sections whose keys are names


class Study(Strict):
    """One file of studies/."""

    base: Path = Field(FILE, description="a params file, from the project's folder")
    overrides: dict[str, Any] = Field({}, description="dotted key of the base: new value")
    models: dict[schema.Name, dict[str, Any]] = Field(
        {},
        description="all variants of the study, each a variant of the base (`from`, or the one of its name) and dotted "
        "keys of it: new value; without any, those of the base",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> "Study":
        if not self.overrides and not self.models:
            raise ValueError("a study has `overrides` or `models`")
        return self


def names() -> list[str]:
    """The studies that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> dict[str, Any]:
    """The base's params with the study's overrides, checked as a whole.

    Raises:
        ParamsError: there is no such study, or a key of it, or what it makes of the base, is wrong.
    """
    if name not in names():
        raise ParamsError(f"{FOLDER}: there is no study '{name}'; {suggest(name, names())}")
    file = FOLDER / f"{name}.yaml"
    try:
        study = parse(Study, read(file), "")
        raw = copy.deepcopy(read(study.base))
        for key, value in study.overrides.items():
            override(raw, key, value)
        if study.models:
            raw["models"] = {variant: derived(raw, variant, changes) for variant, changes in study.models.items()}
        schema.load(raw)
    except ParamsError as error:
        raise ParamsError(f"{file}: {str(error).removeprefix(f'{FILE}: ').removeprefix(f'{file}: ')}") from error
    return raw


def derived(raw: dict[str, Any], name: str, changes: dict[str, Any]) -> Any:
    """The block of a variant `name` that is another one of raw params, with changes to it.

    Raises:
        ParamsError: there is no such variant, or a change is below a plain value.
    """
    base = changes.get("from", name)
    if base not in raw["models"]:
        raise ParamsError(f"models.{name}.from: no such entry; {suggest(str(base), raw['models'])}")
    made = {"models": {name: copy.deepcopy(raw["models"][base])}}
    for key, value in changes.items():
        if key != "from":
            override(made, f"models.{name}.{key}", value)
    return made["models"][name]


def override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted `key` of raw params in place; whether it is an option of its section, the schema says.

    Raises:
        ParamsError: it is below an entry that is not there, or below a plain value.
    """
    *path, last = key.split(".")
    place: Any = raw
    for depth, step in enumerate(path):
        if depth == 1 and path[0] in ENTRIES and step not in place:
            raise ParamsError(f"{path[0]}.{step}: no such entry; {suggest(step, place)}")
        if place.get(step) is None:
            place[step] = {}
        place = place[step]
        if not isinstance(place, Mapping):
            raise ParamsError(f"{key}: {'.'.join(path[: depth + 1])} holds no keys (it is {place!r})")
    place[last] = copy.deepcopy(value)
