"""The results of a study, which DVC keeps with its experiments: a row for each experiment and variant."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import isclose, prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.audio.representation import parse_representation
from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.params import flatten, read_section
from pipeline.metrics.pca import kbps, rate_distortion_bound
from pipeline.report.formatting import DASH
from pipeline.report.paired import PairedDifference, paired_difference
from pipeline.report.pca import why_not_compared
from pipeline.report.table import ratio
from pipeline.studies import queue
from pipeline.studies.commit import has_code
from pipeline.studies.study import Experiment
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run_folder import folder_for, run_folders

ERRORS = ("mse", "mel_mse")  # compared recording by recording
TOLERANCE = 0.005  # relative; the same error measured twice differs by rounding
RESAMPLES = 2000  # bootstrap resamples


@dataclass(frozen=True)
class Row:
    """A variant in one experiment, or in several that have the same result."""

    experiments: list[str]
    study_size: int  # number of experiments in the study
    variant: str
    settings: dict[str, Any]  # the settings that the study changes; None if the variant has no such setting
    seeds: list[dict[str, Any]]  # seeds.json
    metrics: dict[str, Any]  # metrics.json
    scale: Any  # params of the representation on which MSE is measured
    windows: pd.DataFrame  # `ERRORS` of each test window and seed, with its recording
    seconds: float | None  # training time, summed over the seeds; None if this machine did not train it
    pca_ratio: float | None = None  # MSE over that of PCA of the same size in the same experiment
    bound: tuple[Any, Any] | None = None  # of PCA in the same experiment: bit rates and errors of a Gaussian source
    reference: "Row | None" = None  # the same variant in the experiment that it is compared with
    compared_with: str | None = None  # that experiment
    changes: dict[str, PairedDifference] = field(default_factory=dict)  # error -> difference on the same recordings

    @property
    def name(self) -> str:
        """Names of its experiments, or their number if three or more."""
        count = len(self.experiments)
        if count < 3:
            return ", ".join(self.experiments)
        return f"all {count}" if count == self.study_size else f"{count} of {self.study_size}"

    def flat(self) -> dict[str, Any]:
        """Column -> value, with all numbers of metrics.json."""
        values: dict[str, Any] = {"experiment": ", ".join(self.experiments), "variant": self.variant}
        values |= {f"params.{key}" if key in self.metrics else key: value for key, value in self.settings.items()}
        values |= {name: value for name, value in self.metrics.items() if type(value) in (int, float)}
        values["pca_ratio"] = self.pca_ratio
        values["against"] = self.compared_with
        for error in ERRORS:
            for end, key in {"": "difference", "_low": "low", "_high": "high"}.items():
                values[f"{error}_change{end}"] = getattr(self.changes.get(error), key, None)
        collapsed = self.metrics["collapse_reason"]
        return values | {"collapsed": collapsed, "training_seconds": self.seconds, "seeds": len(self.seeds)}


def read_rows(experiments: list[Experiment], commits: dict[str, str], base: str) -> list[Row]:
    """The rows of a study with these experiments, in the order of the file; shared rows come last.

    `commits` is from `runner.find_results` with the same `base`. MelismaError if DVC's cache lacks a file.
    """
    rows: dict[Any, Row] = {}
    for experiment in experiments:
        if revision := commits.get(experiment.name):
            for row in _read_experiment(experiment, revision, experiments):
                runs = tuple((seed["fingerprint"], seed["evaluation"]) for seed in row.seeds)
                key = row.variant, runs, has_code(revision, base)  # other code may give other numbers
                if key not in rows:
                    rows[key] = _compare(row, experiment.compared_with, rows.values())
                rows[key].experiments.append(experiment.name)
    return sorted(rows.values(), key=lambda row: len(row.experiments) > 1)


def tag_runs(study: str, rows: list[Row]) -> None:
    """Tag the runs of this machine that made the rows: study.<study> names the experiments. Other runs lose the tag."""
    names: dict[Path, list[str]] = defaultdict(list)
    for row in rows:
        for seed in row.seeds:
            names[folder_for(seed["fingerprint"], seed["evaluation"]).path] += row.experiments
    tag, runs = f"study.{study}", run_folders()
    for run in runs:
        value = ",".join(names[run.path]) or None
        if run.meta["tags"].get(tag) != value:
            run.update(tags={tag: value})
    if runs and read_section(TrackingConfig, "tracking").enabled:
        from pipeline.tracking import publisher

        publisher.start()


def is_common_scale(rows: list[Row]) -> bool:
    """Whether the variants' own scale is the common log-mel, so that both errors are the same."""
    return all(isclose(row.metrics["mse"] or 0, row.metrics["mel_mse"] or 0, rel_tol=TOLERANCE) for row in rows)


def without_variant(key: str) -> str:
    """The key in the section of a variant; other keys stay."""
    return re.sub(r"^models\.[^.]+\.", "", key)  # also `models.*.`


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """The keys `without_variant` -> the last part of the key if no other key ends like it."""
    last = {key: key.rpartition(".")[2] for key in map(without_variant, keys)}
    return {key: end if list(last.values()).count(end) == 1 else key for key, end in last.items()}


def format_setting(value: Any) -> str:
    """A setting as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return DASH if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def setting(params: dict[str, Any], variant: str, key: str) -> Any:
    """The variant's value of a key, which may be a default; None if it has no such key or is a baseline."""
    model = params["models"][variant]
    if not model["loss"]:
        return None
    values = dict(flatten(params)) | dict(flatten(model | {"train": params["train"] | (model["train"] or {})}))
    return values.get(key)


def _read_experiment(experiment: Experiment, revision: str, experiments: list[Experiment]) -> Iterator[Row]:
    """A row for each variant of an experiment, which names no experiment yet."""
    keys, params = short_keys(key for e in experiments for key in e.settings), experiment.params
    try:
        with queue.files_at(revision) as files:
            pca = _pca_errors(files, params["models"])
            bounds = {name: _bound(params, name, list(errors.values())) for name, errors in pca.items()}
            for variant, model in params["models"].items():
                folder = f"/{workspace.EVALUATION}/{variant}"
                metrics, seeds = (json.loads(files.read_text(f"{folder}/{name}.json")) for name in ("metrics", "seeds"))
                with files.open(f"{folder}/windows.parquet", "rb") as file:
                    windows = pd.read_parquet(file, columns=["seed", "track_id", "group", *ERRORS])
                settings = {short: setting(params, variant, key) for key, short in keys.items()}
                scale = params["representations"][model["representation"]]
                seconds = [folder_for(seed["fingerprint"]).training_seconds() for seed in seeds]
                total = None if None in seconds else sum(filter(None, seconds))
                yield Row(
                    experiments=[], study_size=len(experiments), variant=variant, settings=settings, seeds=seeds,
                    metrics=metrics, scale=scale, windows=windows, seconds=total,
                    pca_ratio=_pca_ratio(metrics, model, pca), bound=bounds.get(model["representation"]),
                )  # fmt: skip
    except Exception as error:  # DVC's errors have no common class
        name = experiment.full_name
        raise MelismaError(
            f"{name}: DVC's cache lacks a file ({error}). If it was pushed, fetch it: `dvc exp pull REMOTE {name}`. "
            f"Else run it again: `dvc exp remove {name}`, then `melisma study run {experiment.study}`"
        ) from error


def _pca_errors(files: Any, models: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Representation -> number of components -> error, of the baseline with the most components."""
    errors: dict[str, dict[int, float]] = {}
    for variant, model in models.items():
        path = f"/{workspace.EVALUATION}/{variant}/sizes.parquet"
        if model["bottleneck"]["type"] == "linear" and files.exists(path):
            with files.open(path, "rb") as file:
                sizes = pd.read_parquet(file, columns=["latent", "mse"])
            table = dict(zip(sizes["latent"], sizes["mse"], strict=True))
            errors[model["representation"]] = max(errors.get(model["representation"], {}), table, key=len)
    return errors


def _bound(params: dict[str, Any], representation: str, errors: list[float]) -> tuple[Any, Any]:
    """The least kbit/s of a Gaussian source for each error, from those of PCA with 0, 1, ... components."""
    config = parse_representation(params["representations"][representation])
    seconds = params["windows"]["seconds"]
    nats, mse = rate_distortion_bound(np.array(errors), prod(config.shape(seconds)))
    return kbps(nats, seconds), mse


def _pca_ratio(metrics: dict[str, Any], model: dict[str, Any], pca: dict[str, dict[int, float]]) -> float | None:
    """The variant's MSE divided by that of PCA of the same size, as in the report."""
    name, skip = model["representation"], bool(model["network"].get("skip"))
    errors = pca.get(name, {})
    if metrics["baseline"] or why_not_compared(metrics, skip, name, max(errors, default=0)):
        return None
    return ratio(metrics["mse"], errors.get(int(metrics["latent_dims"]), metrics.get("mse_components")))


def _compare(row: Row, experiment: str | None, rows: Iterable[Row]) -> Row:
    """The row with its changes from the same variant in `experiment`, if `rows` have it."""
    reference = next((r for r in rows if r.variant == row.variant and experiment in r.experiments), None)
    if reference is None:
        return row
    errors = [error for error in ERRORS if error == "mel_mse" or row.scale == reference.scale]
    differences = {error: paired_difference(row.windows, reference.windows, error, RESAMPLES) for error in errors}
    changes = {error: difference for error, difference in differences.items() if difference}
    return replace(row, reference=reference, compared_with=experiment, changes=changes)
