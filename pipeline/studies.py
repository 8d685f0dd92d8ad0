"""Studies: a base params file and what is changed in it, in studies/<name>.yaml."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline import schema
from pipeline.errors import ParamsError
from pipeline.params import FILE, Strict, parse, read, suggest

FOLDER = Path("studies")
ENTRIES = ("models", "representations")  # sections whose keys are names


class Study(Strict):
    """One file of studies/."""

    base: Path = Field(FILE, description="a params file, from the project's folder")
    overrides: dict[str, Any] = Field(min_length=1, description="dotted key of the base: new value")


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
        schema.load(raw)
    except ParamsError as error:
        raise ParamsError(f"{file}: {str(error).removeprefix(f'{FILE}: ').removeprefix(f'{file}: ')}") from error
    return raw


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
