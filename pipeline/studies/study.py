"""The file of a study, and its experiments."""

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
from pipeline.studies.overrides import override, replace_variants

FOLDER = Path("studies")

NAME_PATTERN = r"^[A-Za-z0-9_-]+$"  # names of DVC experiments begin with it
Label = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Study(Section):
    """Schema of studies/<name>.yaml."""

    base: Path = Field(PARAMS_FILE, description="a params file, from the project's folder")
    overrides: dict[str, Any] = Field(
        {},
        description="dotted key of the base: new value, in every experiment; `models.*.` before a key, here and below, "
        "means every variant that is trained",
    )
    models: dict[schema.Name, dict[str, Any]] = Field(
        {},
        description="the variants of the study, each a variant of the base (`from`, or the same name) with dotted "
        "keys: new values; a list names unchanged variants; by default, all variants of the base",
    )
    experiments: dict[Label, dict[str, Any]] = Field({}, description="name: dotted key, new value")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="dotted key: values, each of them with each experiment"
    )

    @field_validator("models", mode="before")
    @classmethod
    def _list_to_mapping(cls, value: Any) -> Any:
        return {str(name): {} for name in value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _changes_something(self) -> "Study":
        if not (self.overrides or self.models or self.experiments or self.grid):
            raise ValueError("a study has `overrides`, `models`, `experiments` or `grid`")
        return self


@dataclass(frozen=True)
class Experiment:
    """An experiment of a study."""

    study: str
    name: str  # the study's name if it is the only one
    settings: dict[str, Any]  # dotted key, as in the file -> value
    base: Path
    raw: dict[str, Any]  # all params
    compared_with: str | None = None  # the first experiment with the same grid values; None for the first itself

    @property
    def full_name(self) -> str:
        """The name in DVC."""
        return self.study if self.name == self.study else f"{self.study}-{self.name}"


def study_names() -> list[str]:
    """All studies."""
    return sorted(path.stem for path in FOLDER.glob("[!.]*.yaml"))


def first_sentence(name: str) -> str:
    """The first sentence of the comment at the top of a study's file."""
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    return comment.partition(". ")[0].removesuffix(".")


def load_study(name: str) -> Study:
    """Read and check the file of a study.

    Raises:
        ParamsError: there is no such study, or one of its keys is wrong.
    """
    if name not in study_names():
        raise ParamsError(f"{FOLDER}: there is no study '{name}'; {suggest(name, study_names())}")
    file = FOLDER / f"{name}.yaml"
    if not re.match(NAME_PATTERN, name):
        raise ParamsError(f"{file}: DVC experiments get this name; use only letters, digits, - and _")
    with _name_file(file):
        return validate(Study, read_params(file), "")


def load_experiments(name: str) -> list[Experiment]:
    """The experiments of a study in the order of the file; the params of each are checked.

    Raises:
        ParamsError: there is no such study, or a key of it or of the params of an experiment is wrong.
    """
    study = load_study(name)
    with _name_file(FOLDER / f"{name}.yaml"):
        experiments: dict[str, Experiment] = {}
        # Each experiment has all grid values before the next one begins: the first `grid_size` are the references.
        grid_size = prod(map(len, study.grid.values())) if len(study.experiments) > 1 else 1
        for label, settings in _settings(study):
            raw = apply_changes(study, settings, read_params(study.base))
            try:
                schema.load(raw)
            except ParamsError as error:
                message = str(error)
                raise ParamsError(
                    f"{label}: {message.removeprefix(f'{PARAMS_FILE}: ')}" if label else message
                ) from error
            if label in experiments:
                raise ParamsError(f"two experiments are called '{label}'")
            position = len(experiments)
            reference = list(experiments)[position % grid_size] if position >= grid_size else None
            experiments[label] = Experiment(name, label or name, settings, study.base, raw, reference)
    return list(experiments.values())


def study_params(name: str) -> dict[str, Any]:
    """The raw params of `<study>/<experiment>`, or of `<study>` if it has only one experiment.

    Raises:
        ParamsError: as `load_experiments`, or there is no such experiment.
    """
    study, _, label = name.partition("/")
    experiments = {experiment.name: experiment for experiment in load_experiments(study)}
    first = next(iter(experiments))
    if not label and len(experiments) > 1:
        raise ParamsError(f"{study} has {len(experiments)} experiments; take one, as in {study}/{first}")
    if label and label not in experiments:
        raise ParamsError(f"{FOLDER / study}.yaml: there is no experiment '{label}'; {suggest(label, experiments)}")
    return experiments[label or first].raw


def apply_changes(study: Study, settings: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Change raw params in place by the study and the settings of an experiment, and return them; see `overrides`."""
    for key, value in study.overrides.items():
        override(raw, key, value)
    if study.models:
        replace_variants(raw, study.models)
    for key, value in settings.items():
        override(raw, key, value)
    return raw


def _settings(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each experiment; the name is empty if there is only one."""
    for name, settings in (study.experiments or {"": {}}).items():
        for values in product(*study.grid.values()):
            grid_values = dict(zip(study.grid, values, strict=True))
            parts = [name] if name else []
            for key, value in grid_values.items():
                if not name or len(grid_values) > 1:
                    parts.append(key.rpartition(".")[2])
                parts.append(_value_label(value))
            yield "-".join(parts), settings | grid_values


def _value_label(value: Any) -> str:
    """A value as a part of a name."""
    text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")


@contextmanager
def _name_file(file: Path) -> Iterator[None]:
    """Put the study's file at the start of an error message, instead of params.yaml."""
    try:
        yield
    except ParamsError as error:
        message = str(error).removeprefix(f"{PARAMS_FILE}: ").removeprefix(f"{file}: ")
        raise ParamsError(f"{file}: {message}") from error
