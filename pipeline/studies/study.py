"""The file of a study, and its experiments."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE, Count, Section, read_params, suggest, validate
from pipeline.schema import schema
from pipeline.training.config import read_variant

FOLDER = Path("studies")
NAMED_SECTIONS = ("models", "representations")  # their keys are names that the user chooses
ALL_TRAINED = "models.*."  # prefix of a key that stands for every trained variant
NAME_PATTERN = r"^[A-Za-z0-9_-]+$"  # names of DVC experiments begin with it
# All trials of a search must have the same data and the same scale, or their values mean different things.
SEARCHABLE = re.compile(r"(train|models\.[^.]+\.(network|bottleneck|condition|loss|train))\.")
Label = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class Dimension(Section):
    """The values of one key in a search: a range, or choices."""

    low: int | float | None = Field(None, description="smallest value; whole numbers if both ends are")
    high: int | float | None = Field(None, description="largest value")
    log: bool = Field(False, description="equal ratios are equally likely, not equal differences")
    choices: Annotated[list[Any], Field(min_length=2)] | None = Field(None, description="values, in place of a range")

    @model_validator(mode="after")
    def _is_range_or_choices(self) -> Self:
        is_range = self.low is not None and self.high is not None
        if (self.choices is None) != is_range or (self.choices and (self.low or self.high or self.log)):
            raise ValueError("give `low` and `high` (and perhaps `log`), or `choices`")
        if self.choices is not None and len(set(map(repr, self.choices))) < len(self.choices):
            raise ValueError("choices: a value occurs twice; list each once")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError("low: must be below high")
            if self.log and self.low <= 0:
                raise ValueError("low: must be above 0 with `log`")
        return self

    @property
    def extremes(self) -> list[Any]:
        """Both ends of the range, or all choices."""
        return [self.low, self.high] if self.choices is None else self.choices


class Search(Section):
    """The section `search` of a study: a search for the values of keys, in place of experiments."""

    trials: Count = Field(20, description="number of trials, failed ones included; --trials overrides it")
    metric: Literal["valid_loss", "valid_mse"] = Field(
        "valid_loss", description="column of history.csv at the epoch whose weights are used; lower is better"
    )
    space: dict[str, Dimension] = Field(min_length=1, description="dotted key of the base: its values")

    @model_validator(mode="after")
    def _is_comparable(self) -> Self:
        for key in self.space:
            if not SEARCHABLE.match(key):
                raise ValueError(
                    f"space: {key}: a search changes only `train`, and the network, bottleneck, condition, loss and "
                    "train of a variant; all trials need the same data"
                )
            if re.match(r"models\.[^.]+\.loss\.", key) and self.metric == "valid_loss":
                raise ValueError(f"`metric` must be valid_mse, since {key} changes what valid_loss means")
        return self


class Study(Section):
    """Schema of studies/<name>.yaml; docs/studies.md explains it."""

    base: Path = Field(PARAMS_FILE, description="a params file, from the project's folder")
    overrides: dict[str, Any] = Field({}, description="dotted key of the base: new value, in every experiment")
    models: dict[schema.Name, dict[str, Any]] = Field(
        {}, description="name: dotted keys of a variant of the base (`from`, or this name) with new values; or a list"
    )
    experiments: dict[Label, dict[str, Any]] = Field({}, description="name: dotted key, new value")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {}, description="dotted key: values, each of them with each experiment"
    )
    search: Search | None = Field(None, description="a search, in place of `experiments` and `grid`")

    @field_validator("models", mode="before")
    @classmethod
    def _list_to_mapping(cls, value: Any) -> Any:
        return {str(name): {} for name in value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _changes_something(self) -> "Study":
        if not (self.overrides or self.models or self.experiments or self.grid or self.search):
            raise ValueError("a study needs `overrides`, `models`, `experiments`, `grid` or `search`")
        if self.search and (self.experiments or self.grid):
            raise ValueError("a study with `search` has neither `experiments` nor `grid`")
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
    targets: tuple[str, ...] = ()  # the stages that it builds, with those that they need; empty: all

    @property
    def full_name(self) -> str:
        """The name in DVC."""
        return self.study if self.name == self.study else f"{self.study}-{self.name}"

    @cached_property
    def params(self) -> dict[str, Any]:
        """All params with their defaults."""
        return schema.load(self.raw).model_dump(mode="json")


def study_names() -> list[str]:
    """All studies."""
    return sorted(path.stem for path in FOLDER.glob("[!.]*.yaml"))


def load_study(name: str) -> Study:
    """Read and check the file of a study; ParamsError if there is no such study, or one of its keys is wrong."""
    if name not in study_names():
        raise ParamsError(f"{FOLDER}: there is no study '{name}'; {suggest(name, study_names())}")
    file = FOLDER / f"{name}.yaml"
    if not re.match(NAME_PATTERN, name):
        raise ParamsError(f"{file}: DVC experiments get this name; use only letters, digits, - and _")
    raw = read_params(file)
    with _error_prefix(str(file)):
        return validate(Study, raw, "")


def load_experiments(name: str) -> list[Experiment]:
    """The experiments of a study in the order of the file; ParamsError if the file or the params of one are wrong.

    A search has one: the params that all trials share.
    """
    study = load_study(name)
    experiments: dict[str, Experiment] = {}
    # Each experiment has all grid values before the next one begins: the first `grid_size` are the references.
    grid_size = prod(map(len, study.grid.values())) if len(study.experiments) > 1 else 1
    with _error_prefix(f"{FOLDER / name}.yaml"):
        for label, settings in _settings(study):
            raw = apply_changes(study, settings, read_params(study.base))
            with _error_prefix(label):
                schema.load(raw)
            if label in experiments:
                raise ParamsError(f"two experiments are called '{label}'")
            position = len(experiments)
            reference = list(experiments)[position % grid_size] if position >= grid_size else None
            experiments[label] = Experiment(name, label or name, settings, study.base, raw, reference)
    return list(experiments.values())


def load_search(name: str) -> tuple[Experiment, Search, str]:
    """The params that all trials of a search share, its section, and the variant that it trains.

    ParamsError if the study has no search, does not train exactly one variant, or if a value of a key is wrong. Some
    combinations of values may still be wrong.
    """
    study = load_study(name)
    if study.search is None:
        raise ParamsError(f"{FOLDER / name}.yaml: it has no `search`; `melisma study run {name}` runs it")
    [start] = load_experiments(name)
    with _error_prefix(f"{FOLDER / name}.yaml"):
        trained = [variant for variant, model in start.params["models"].items() if model["loss"]]
        if len(trained) != 1:
            raise ParamsError(f"models: a search trains one variant, not {len(trained)} ({', '.join(trained)})")
        [variant] = trained
        for key, dimension in study.search.space.items():
            if not key.startswith(("train.", ALL_TRAINED, f"models.{variant}.")):
                raise ParamsError(f"search.space.{key}: not a key of {variant}, the only variant that it trains")
            with _error_prefix(f"search.space.{key}"):
                experiments = [with_settings(start, name, {key: value}) for value in dimension.extremes]
                models = [read_variant(experiment.params, variant) for experiment in experiments]
            if all(model == models[0] for model in models):
                raise ParamsError(f"search.space.{key}: has no effect; does models.{variant}.train override it?")
    return start, study.search, variant


def with_settings(start: Experiment, name: str, settings: dict[str, Any], targets: tuple[str, ...] = ()) -> Experiment:
    """The experiment `start` under another name, with further settings."""
    raw = copy.deepcopy(start.raw)
    for key, value in settings.items():
        override(raw, key, value)
    return replace(start, name=name, settings=settings, raw=raw, targets=targets)


def select_experiments(experiments: list[Experiment], names: list[str]) -> list[Experiment]:
    """The experiments with these names; ParamsError if there is no such experiment."""
    all_names = [experiment.name for experiment in experiments]
    for name in names:
        if name not in all_names:
            raise ParamsError(f"{experiments[0].study}: there is no experiment '{name}'; {suggest(name, all_names)}")
    return [experiment for experiment in experiments if experiment.name in names]


def study_params(name: str) -> dict[str, Any]:
    """The raw params of `<study>/<experiment>`, or of `<study>` if it has only one experiment; or ParamsError."""
    study, _, label = name.partition("/")
    experiments = load_experiments(study)
    if not label and len(experiments) > 1:
        raise ParamsError(f"{study} has {len(experiments)} experiments; take one, as in {study}/{experiments[0].name}")
    return select_experiments(experiments, [label or experiments[0].name])[0].raw


def apply_changes(study: Study, settings: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Change raw params in place by the study and the settings of an experiment, and return them; see `override`."""
    for key, value in study.overrides.items():
        override(raw, key, value)
    if study.models:
        replace_variants(raw, study.models)
    for key, value in settings.items():
        override(raw, key, value)
    return raw


def replace_variants(raw: dict[str, Any], variants: Mapping[str, dict[str, Any]]) -> None:
    """Replace all variants of raw params by `variants`: name -> changes; ParamsError as `override`.

    A new variant is a copy of the variant `from`, or of the variant with its name, with the other changes.
    """
    derived: dict[str, Any] = {}
    for name, changes in variants.items():
        source = changes.get("from", name)
        if source not in raw["models"]:
            raise ParamsError(f"models.{name}.from: no such entry; {suggest(str(source), raw['models'])}")
        derived[name] = copy.deepcopy(raw["models"][source])
        for key, value in changes.items():
            if key != "from":
                override({"models": derived}, f"models.{name}.{key}", value)
    for name in [name for name in raw["models"] if name not in derived]:
        del raw["models"][name]  # deletes in place, to keep the comments of a file
    raw["models"].update(derived)


def override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted `key` of raw params in place; `models.*.<key>` means this key of every trained variant.

    ParamsError if it is below an entry that does not exist, or below a plain value; the schema checks all other keys.
    """
    if key.startswith(ALL_TRAINED):
        for name, variant in raw["models"].items():
            match variant:
                case {"bottleneck": {"type": "linear"}}:
                    continue  # a baseline
            override(raw, f"models.{name}.{key.removeprefix(ALL_TRAINED)}", value)
        return
    *path, last = key.split(".")
    section: Any = raw
    for depth, step in enumerate(path):
        if depth == 1 and path[0] in NAMED_SECTIONS and step not in section:
            raise ParamsError(f"{path[0]}.{step}: no such entry; {suggest(step, section)}")
        if section.get(step) is None:
            section[step] = {}
        section = section[step]
        if not isinstance(section, Mapping):
            raise ParamsError(f"{key}: {'.'.join(path[: depth + 1])} is no section with keys (it is {section!r})")
    section[last] = copy.deepcopy(value)


def _settings(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and settings of each experiment; the name is empty if there is only one."""
    for name, settings in (study.experiments or {"": {}}).items():
        for values in product(*study.grid.values()):
            grid_values = dict(zip(study.grid, values, strict=True))
            parts = [name] if name else []
            for key, value in grid_values.items():
                if not name or len(grid_values) > 1:
                    parts.append(key.rpartition(".")[2])
                text = "-".join(map(str, value)) if isinstance(value, list) else str(value)
                parts.append(re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-."))
            yield "-".join(parts), settings | grid_values


@contextmanager
def _error_prefix(prefix: str) -> Iterator[None]:
    """Put `prefix` at the start of an error message, instead of params.yaml."""
    try:
        yield
    except ParamsError as error:
        message = str(error).removeprefix(f"{PARAMS_FILE}: ")
        raise ParamsError(f"{prefix}: {message}" if prefix else message) from error
