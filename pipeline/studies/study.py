"""A study's file, and the experiments that it stands for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product, takewhile
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, Section, read_params, suggest, validate
from pipeline.schema import schema
from pipeline.studies import overrides

FOLDER = Path("studies")

NAME = r"^[A-Za-z0-9_-]+$"  # of what becomes a part of the name of a DVC experiment
Label = Annotated[str, StringConstraints(pattern=NAME)]


class Study(Section):
    """One file of studies/."""

    base: Path = Field(PARAMS_FILE, description="a params file, from the project's folder")
    overrides: dict[str, Any] = Field(
        {},
        description="dotted key of the base: new value, in every experiment; `models.*.` before a key, here and below, "
        "means every variant that is trained",
    )
    models: dict[schema.Name, dict[str, Any]] = Field(
        {},
        description="the variants of the study, each a variant of the base (`from`, or the one of its name) and dotted "
        "keys of it: new value; a list names those that stay as they are; without any, those of the base",
    )
    experiments: dict[Label, dict[str, Any]] = Field({}, description="name: dotted key, new value")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="dotted key: values, each of them with each experiment"
    )

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {str(name): {} for name in value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _changes_something(self) -> "Study":
        if not (self.overrides or self.models or self.experiments or self.grid):
            raise ValueError("a study has `overrides`, `models`, `experiments` or `grid`")
        return self


@dataclass(frozen=True)
class Experiment:
    """One of a study's: what it changes, and the whole of its params."""

    study: str
    name: str  # the study's where it has no other
    settings: dict[str, Any]  # dotted key as in the file: value
    base: Path
    raw: dict[str, Any]
    against: str | None = None  # what it is compared with: the first one, of those with the same values of the grid

    @property
    def full(self) -> str:
        """Its name in DVC."""
        return self.study if self.name == self.study else f"{self.study}-{self.name}"


def names() -> list[str]:
    """The studies that there are."""
    return sorted(path.stem for path in FOLDER.glob("[!.]*.yaml"))


def about(name: str) -> str:
    """The first sentence of a study's file."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    return comment.partition(". ")[0].removesuffix(".")


def load(name: str) -> Study:
    """The file of a study.

    Raises:
        ParamsError: there is no such study, or a key of it is wrong.
    """
    if name not in names():
        raise ParamsError(f"{FOLDER}: there is no study '{name}'; {suggest(name, names())}")
    file = FOLDER / f"{name}.yaml"
    if not re.match(NAME, name):
        raise ParamsError(f"{file}: DVC's experiments are called after it; take a name of letters, digits, - and _")
    with _in(file):
        return validate(Study, read_params(file), "")


def experiments(name: str) -> list[Experiment]:
    """All experiments of a study, each checked as a whole, in the order of the file.

    Raises:
        ParamsError: there is no such study, or a key of it, or what an experiment makes of the base, is wrong.
    """
    study = load(name)
    with _in(FOLDER / f"{name}.yaml"):
        found: dict[str, Experiment] = {}
        # Experiments come one after the other, each with all values of the grid.
        block = prod(map(len, study.grid.values())) if len(study.experiments) > 1 else 1
        for label, settings in _all(study):
            raw = apply(study, settings, read_params(study.base))
            try:
                schema.load(raw)
            except ParamsError as error:
                raise ParamsError(
                    f"{label}: {str(error).removeprefix(f'{PARAMS_FILE}: ')}" if label else str(error)
                ) from error
            if label in found:
                raise ParamsError(f"two experiments are called '{label}'")
            against = list(found)[len(found) % block] if len(found) >= block else None
            found[label] = Experiment(name, label or name, settings, study.base, raw, against)
    return list(found.values())


def params(name: str) -> dict[str, Any]:
    """The params of `<study>`, where that is one experiment, or of `<study>/<experiment>`.

    Raises:
        ParamsError: as `experiments`, or there is no such experiment.
    """
    study, _, label = name.partition("/")
    found = {one.name: one for one in experiments(study)}
    if not label and len(found) > 1:
        raise ParamsError(f"{study} has {len(found)} experiments; take one, as in {study}/{next(iter(found))}")
    if label and label not in found:
        raise ParamsError(f"{FOLDER / study}.yaml: there is no experiment '{label}'; {suggest(label, found)}")
    return (found[label] if label else next(iter(found.values()))).raw


def apply(study: Study, settings: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """`base`, changed in place as the study and the settings of one of its experiments say.

    Raises:
        ParamsError: a key or a variant is not there.
    """
    for key, value in study.overrides.items():
        overrides.override(base, key, value)
    if study.models:
        overrides.remake(base, study.models)
    for key, value in settings.items():
        overrides.override(base, key, value)
    return base


def _all(study: Study) -> list[tuple[str, dict[str, Any]]]:
    """Name and settings of each experiment; the name is empty where there is but one."""
    found = []
    for name, settings in (study.experiments or {"": {}}).items():
        for values in product(*study.grid.values()):
            chosen = dict(zip(study.grid, values, strict=True))
            parts = [name] if name else []
            for key, value in chosen.items():
                if not name or len(chosen) > 1:
                    parts.append(key.rpartition(".")[2])
                parts.append(_label(value))
            found.append(("-".join(parts), settings | chosen))
    return found


def _label(value: Any) -> str:
    """A value as part of a name."""
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")


@contextmanager
def _in(file: Path) -> Iterator[None]:
    """An error inside names the study's file in place of params.yaml."""
    try:
        yield
    except ParamsError as error:
        said = str(error).removeprefix(f"{PARAMS_FILE}: ").removeprefix(f"{file}: ")
        raise ParamsError(f"{file}: {said}") from error
