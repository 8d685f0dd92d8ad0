"""The results of a study, from its MLflow runs: a row for each experiment and variant."""

from dataclasses import dataclass, field, replace
from math import isclose
from statistics import fmean
from typing import Any

import pandas as pd

from pipeline.core.params import flatten
from pipeline.report.formatting import DASH
from pipeline.report.verdict import PairedDifference, paired_difference
from pipeline.schema import schema
from pipeline.studies import mlflow_runs
from pipeline.studies.overrides import ALL_TRAINED, is_trained
from pipeline.studies.study import Experiment
from pipeline.tracking import store
from pipeline.tracking.logged_values import EPOCH_SECONDS
from pipeline.tracking.search import connected

BOUNDED = ("mse", "mel_mse", "kl", "cosine_similarity", "probe_accuracy")  # metrics with a 95 % interval
METRICS = [*(f"{name}{end}" for name in BOUNDED for end in ("", "_low", "_high")), "perplexity"]
ERRORS = ("mse", "mel_mse")  # compared recording by recording
SAME_SCALE_TOLERANCE = 0.005  # relative; the same error measured twice differs by rounding
RESAMPLES = 2000  # bootstrap resamples


@dataclass(frozen=True)
class Row:
    """A variant in one experiment, or in several that share its runs. Metrics and interval bounds are seed means."""

    experiments: list[str]
    study_size: int  # number of experiments in the study
    variant: str
    is_trained: bool
    settings: dict[str, Any]  # the settings that the study changes; None if the variant has no such setting
    seeds: list[int]
    metrics: dict[str, float | None]
    representation: Any  # raw params; MSE is measured on its scale
    tracks: pd.DataFrame | None  # `ERRORS` of each test recording
    collapsed: str | None  # the reason, or None
    seconds: float | None  # training time, summed over the seeds
    compared_with: str | None = None  # an experiment
    reference: "Row | None" = None  # the same variant in that experiment
    changes: dict[str, PairedDifference] = field(default_factory=dict)  # error -> difference on the same recordings

    @property
    def name(self) -> str:
        """Names of its experiments, or their number if three or more."""
        count = len(self.experiments)
        if count < 3:
            return ", ".join(self.experiments)
        return f"all {count}" if count == self.study_size else f"{count} of {self.study_size}"

    def flat(self) -> dict[str, Any]:
        """Column -> value."""
        changes = {}
        for name in ERRORS:
            for end, key in {"": "difference", "_low": "low", "_high": "high"}.items():
                changes[f"{name}_change{end}"] = getattr(self.changes.get(name), key, None)
        return {
            "experiment": ", ".join(self.experiments),
            "variant": self.variant,
            **self.settings,
            **self.metrics,
            "against": self.compared_with,
            **changes,
            "collapsed": self.collapsed,
            "seconds": self.seconds,
            "seeds": len(self.seeds),
        }


def read_rows(study: str, experiments: list[Experiment]) -> list[Row]:
    """The rows that have runs, in the order of the file; shared rows come last. Raises as `connected`."""
    with connected():
        groups: dict[tuple[str, str], list[Any]] = {}
        for run in mlflow_runs.find_runs(study):
            key = run.data.tags[mlflow_runs.tag_name(study)], run.data.tags["variant"]
            groups.setdefault(key, []).append(run)
        rows = [_row(tag, variant, runs, experiments) for (tag, variant), runs in groups.items()]
    names = [experiment.name for experiment in experiments]
    rows = _compare([row for row in rows if row.experiments], experiments)
    return sorted(rows, key=lambda row: (len(row.experiments) > 1, names.index(row.experiments[0])))


def without_result(experiments: list[Experiment], rows: list[Row]) -> list[str]:
    """Experiments without a row."""
    return [e.name for e in experiments if not any(e.name in row.experiments for row in rows)]


def without_comparison(rows: list[Row]) -> list[str]:
    """Rows that cannot be compared, since MLflow lacks the errors of single recordings."""
    return list(dict.fromkeys(row.name for row in rows if row.tracks is None))


def is_common_scale(rows: list[Row]) -> bool:
    """Whether the variants' own scale is the common log-mel, so that both errors are the same."""
    tolerance = SAME_SCALE_TOLERANCE
    return all(isclose(row.metrics["mse"] or 0, row.metrics["mel_mse"] or 0, rel_tol=tolerance) for row in rows)


def short_keys(experiments: list[Experiment]) -> dict[str, str]:
    """The keys that a study changes, without the variant -> the last part of the key if no other key ends like it."""
    keys = dict.fromkeys(_without_variant(key) for experiment in experiments for key in experiment.settings)
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: last[key] if list(last.values()).count(last[key]) == 1 else key for key in keys}


def format_setting(value: Any) -> str:
    """A setting as YAML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return DASH if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _compare(rows: list[Row], experiments: list[Experiment]) -> list[Row]:
    """Add to each row the changes from the same variant in the experiment that it is compared with."""
    reference_names = {experiment.name: experiment.compared_with for experiment in experiments}
    compared = []
    for row in rows:
        name = reference_names[row.experiments[0]]
        reference = next((r for r in rows if name in r.experiments and r.variant == row.variant), row)
        if reference is not row:
            errors = [error for error in ERRORS if error == "mel_mse" or row.representation == reference.representation]
            differences = {error: paired_difference(row.tracks, reference.tracks, error, RESAMPLES) for error in errors}
            changes = {error: difference for error, difference in differences.items() if difference}
            row = replace(row, compared_with=name, reference=reference, changes=changes)
        compared.append(row)
    return compared


def _row(tag: str, variant: str, runs: list[Any], experiments: list[Experiment]) -> Row:
    names = tag.split(mlflow_runs.SEPARATOR)
    members = [experiment for experiment in experiments if experiment.name in names]
    raw = members[0].raw["models"].get(variant, {}) if members else {}
    metrics = [{name: run.data.metrics.get(f"test/{name}") for name in METRICS} for run in runs]
    reasons = [run.data.tags.get("collapsed", "no") for run in runs]
    return Row(
        experiments=[experiment.name for experiment in members],
        study_size=len(experiments),
        variant=variant,
        is_trained=bool(raw) and is_trained(raw),
        settings={short: _setting(members, variant, key) for key, short in short_keys(experiments).items()},
        seeds=sorted(int(run.data.tags["seed"]) for run in runs),
        metrics={name: _mean([values[name] for values in metrics]) for name in METRICS},
        representation=members[0].raw["representations"].get(raw["representation"]) if raw else None,
        tracks=mlflow_runs.read_tracks(runs),
        collapsed=next((reason for reason in reasons if reason != "no"), None),
        seconds=_training_seconds(runs),
    )


def _training_seconds(runs: list[Any]) -> float | None:
    """Training seconds, summed over all epochs. A run that only evaluates a model names the run that trained it."""
    ids = [run.data.tags.get("model_run", run.info.run_id) for run in runs]
    histories = [store.client().get_metric_history(run_id, EPOCH_SECONDS) for run_id in ids]
    seconds = [metric.value for history in histories for metric in history]
    return sum(seconds) if seconds else None


def _mean(values: list[float | None]) -> float | None:
    """None if a value is missing."""
    present = [value for value in values if value is not None]
    return fmean(present) if present and len(present) == len(values) else None


def _without_variant(key: str) -> str:
    if key.startswith(ALL_TRAINED):
        return key.removeprefix(ALL_TRAINED)
    return key.split(".", 2)[2] if key.startswith("models.") and key.count(".") > 1 else key


def _setting(experiments: list[Experiment], variant: str, key: str) -> Any:
    """The variant's value of a key, which may be a default; None if it has no such key or is a baseline."""
    if not experiments or variant not in experiments[0].raw["models"]:
        return None
    params = schema.load(experiments[0].raw).model_dump(mode="json")
    model = params["models"][variant]
    if not model["loss"]:
        return None
    model["train"] = params["train"] | (model["train"] or {})
    values = dict(flatten(model))
    return values[key] if key in values else dict(flatten(params)).get(key)
