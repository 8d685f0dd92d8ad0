"""What a study found, read from its runs in MLflow: a row for each experiment and variant."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isclose
from statistics import fmean
from typing import Any

import pandas as pd

from pipeline.core.params import flatten
from pipeline.report.text import NONE, clock, digits, percent, span
from pipeline.report.verdict import Pair, paired
from pipeline.schema import schema
from pipeline.studies import runs
from pipeline.studies.overrides import EVERY, is_trained
from pipeline.studies.study import Experiment
from pipeline.tracking import log
from pipeline.tracking.search import reached

BOUNDED = ("mse", "mel_mse", "kl", "cosine_similarity", "probe_accuracy")  # each has a 95 % interval
METRICS = [*(f"{name}{end}" for name in BOUNDED for end in ("", "_low", "_high")), "perplexity"]
ERRORS = ("mse", "mel_mse")  # that are compared recording by recording
SECONDS = "epoch/seconds"
ROUNDING = 0.005  # of an error, by which it may differ where it is measured twice
RESAMPLES = 2000  # of the bootstrap
NAMED = 2  # experiments that others are compared with, up to which the title names them
MANY = 2  # changed settings beyond which the table shows no interval


@dataclass(frozen=True)
class Change:
    """How much higher an error is than that of another experiment, on the same recordings."""

    pair: Pair
    base: float | None  # the other's error


@dataclass(frozen=True)
class Row:
    """A variant in one experiment, or in several that share its runs.

    Numbers are means over the seeds, and so are the bounds of their intervals.
    """

    experiments: list[str]
    of: int  # experiments of the study
    variant: str
    is_trained: bool
    settings: dict[str, Any]  # of what the study changes: key and value; None where the variant has no such setting
    seeds: list[int]
    metrics: dict[str, float | None]
    scale: Any  # the representation, on which its own MSE is measured
    tracks: pd.DataFrame | None  # `ERRORS` of each test recording
    collapsed: str | None  # why, or None
    seconds: float | None  # of training, all seeds
    against: str | None = None  # the experiment it is compared with
    changes: dict[str, Change] = field(default_factory=dict)  # of `ERRORS`

    @property
    def name(self) -> str:
        """Of its experiments."""
        many = len(self.experiments)
        return (
            ", ".join(self.experiments) if many < 3 else f"all {self.of}" if many == self.of else f"{many} of {self.of}"
        )

    def flat(self) -> dict[str, Any]:
        """All of it under one key each."""
        first = {"experiment": ", ".join(self.experiments), "variant": self.variant, **self.settings}
        last = {"collapsed": self.collapsed, "seconds": self.seconds, "seeds": len(self.seeds)}
        compared = {}
        for name in ERRORS:
            pair = self.changes[name].pair if name in self.changes else None
            for end, key in {"": "difference", "_low": "low", "_high": "high"}.items():
                compared[f"{name}_change{end}"] = getattr(pair, key, None)
        return first | self.metrics | {"against": self.against} | compared | last


def read(study: str, experiments: list[Experiment]) -> list[Row]:
    """The rows that there are runs for, in the order of the file; variants that no experiment changes come last.

    Raises:
        MelismaError: MLflow failed.
    """
    with reached():
        groups: dict[tuple[str, str], list[Any]] = {}
        for run in runs.find(study):
            parts = run.data.tags[runs.tag(study)], run.data.tags["variant"]
            groups.setdefault(parts, []).append(run)
        columns = keys(experiments)
        rows = [_row(tag, variant, found, experiments, columns) for (tag, variant), found in groups.items()]
    names = [one.name for one in experiments]
    rows = _compared([row for row in rows if row.experiments], experiments)
    return sorted(rows, key=lambda row: (len(row.experiments) > 1, names.index(row.experiments[0])))


def _compared(rows: list[Row], experiments: list[Experiment]) -> list[Row]:
    """The rows, each with its difference from that of the experiment it is compared with."""
    firsts = {one.name: one.against for one in experiments}
    found = []
    for row in rows:
        against = firsts[row.experiments[0]]
        other = next((each for each in rows if against in each.experiments and each.variant == row.variant), row)
        if other is not row:
            names = [name for name in ERRORS if name == "mel_mse" or row.scale == other.scale]
            pairs = {name: paired(row.tracks, other.tracks, name, RESAMPLES) for name in names}
            changes = {name: Change(pair, other.metrics[name]) for name, pair in pairs.items() if pair}
            row = replace(row, against=against, changes=changes)
        found.append(row)
    return found


def missing(experiments: list[Experiment], rows: list[Row]) -> list[str]:
    """Experiments without a row."""
    return [one.name for one in experiments if not any(one.name in row.experiments for row in rows)]


def uncompared(rows: list[Row]) -> list[str]:
    """Experiments with a variant that is compared with no other, since MLflow lacks the errors of its recordings."""
    return list(dict.fromkeys(row.name for row in rows if row.tracks is None))


def on_one_scale(rows: list[Row]) -> bool:
    """Whether the variants' own scale is the common log-mel, so that the two errors differ by rounding alone."""
    return all(isclose(row.metrics["mse"] or 0, row.metrics["mel_mse"] or 0, rel_tol=ROUNDING) for row in rows)


def keys(experiments: list[Experiment]) -> dict[str, str]:
    """What a study changes: the setting's key without the variant, and as short a name as tells it from the others."""
    found = dict.fromkeys(_relative(key) for one in experiments for key in one.settings)
    short = {key: key.rpartition(".")[2] for key in found}
    return {key: short[key] if list(short.values()).count(short[key]) == 1 else key for key in found}


def text(rows: list[Row], is_markdown: bool = False) -> str:
    """A table for people, without the columns in which there is nothing."""
    titles, cells = _cells(rows)
    if is_markdown:
        lines = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 2), *cells]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(len(line[i]) for line in (titles, *cells)) for i in range(len(titles))]
    shown = [
        [one.ljust(wide) if i < 2 else one.rjust(wide) for i, (one, wide) in enumerate(zip(line, widths, strict=True))]
        for line in (titles, *cells)
    ]
    return "".join("  ".join(line).rstrip() + "\n" for line in shown)


def as_csv(rows: list[Row]) -> str:
    """All numbers, unrounded."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0].flat()) if rows else ["experiment"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.flat() for row in rows)
    return file.getvalue()


def written(value: Any) -> str:
    """The value of a setting, as a file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _cells(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    settings = list(rows[0].settings) if rows else []
    is_wide = len(settings) <= MANY

    def bounded(name: str, write: Callable[[float | None], str] = digits) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            value, low, high = (row.metrics[f"{name}{end}"] for end in ("", "_low", "_high"))
            between = span(low, high) if is_wide and name.endswith("mse") else ""
            return write(value) + (f" ({between})" if between else "")

        return cell

    def change(name: str) -> Callable[[Row], str]:
        return lambda row: _change(row.changes.get(name))

    firsts = _firsts(rows)
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("experiment", lambda row: row.name),
        ("variant", lambda row: row.variant),
        *((key, lambda row, key=key: written(row.settings[key])) for key in settings),
        ("MSE", bounded("mse")),
        *([] if on_one_scale(rows) else [(f"MSE against {firsts}", change("mse"))]),
        ("mel MSE", bounded("mel_mse")),
        (f"mel MSE against {firsts}", change("mel_mse")),
        ("KL, nats", bounded("kl")),
        ("cosine", bounded("cosine_similarity")),
        ("label accuracy", bounded("probe_accuracy", percent)),
        ("codes in use", lambda row: digits(row.metrics["perplexity"])),
        ("collapsed", lambda row: "yes" if row.collapsed else "no"),
        ("training", lambda row: clock(row.seconds)),
    ]
    filled = [(title, [cell(row) for row in rows]) for title, cell in columns]
    shown = [(title, cells) for title, cells in filled if set(cells) != {NONE}]
    return [title for title, _ in shown], [list(line) for line in zip(*(cells for _, cells in shown), strict=True)]


def _firsts(rows: list[Row]) -> str:
    """What rows are compared with, for a title."""
    names = list(dict.fromkeys(row.against for row in rows if row.changes))
    return " or ".join(map(str, names)) if len(names) <= NAMED else "the first"


def _change(change: Change | None) -> str:
    """The difference in per cent, with its interval."""
    if change is None or not change.base:
        return NONE
    share, between = change.pair.shares(change.base)
    return f"{share} ({between})"


def _row(tag: str, variant: str, found: list[Any], experiments: list[Experiment], columns: dict[str, str]) -> Row:
    named = tag.split(runs.BETWEEN)
    parts = [one for one in experiments if one.name in named]
    values = [{name: run.data.metrics.get(f"test/{name}") for name in METRICS} for run in found]
    reasons = [run.data.tags.get("collapsed", "no") for run in found]
    block = parts[0].raw["models"].get(variant, {}) if parts else {}
    return Row(
        experiments=[one.name for one in parts],
        of=len(experiments),
        variant=variant,
        is_trained=bool(block) and is_trained(block),
        settings={short: _setting(parts, variant, key) for key, short in columns.items()},
        seeds=sorted(int(run.data.tags["seed"]) for run in found),
        metrics={name: _mean([value[name] for value in values]) for name in METRICS},
        scale=parts[0].raw["representations"].get(block["representation"]) if block else None,
        tracks=runs.tracks(found),
        collapsed=next((reason for reason in reasons if reason != "no"), None),
        seconds=_seconds(found),
    )


def _seconds(found: list[Any]) -> float | None:
    """Of training, which the run of the model has where an evaluation has one of its own."""
    ids = [run.data.tags.get("model_run", run.info.run_id) for run in found]
    taken = [metric.value for one in ids for metric in log.client().get_metric_history(one, SECONDS)]
    return sum(taken) if taken else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _relative(key: str) -> str:
    """A key of a variant without the variant."""
    if key.startswith(EVERY):
        return key.removeprefix(EVERY)
    return key.split(".", 2)[2] if key.startswith("models.") and key.count(".") > 1 else key


def _setting(parts: list[Experiment], variant: str, key: str) -> Any:
    """What the variant has for a key, with all defaults; None where it has none."""
    if not parts or variant not in parts[0].raw["models"]:
        return None
    params = schema.load(parts[0].raw).model_dump(mode="json")
    model = params["models"][variant]
    if not model["loss"]:
        return None
    model["train"] = params["train"] | (model["train"] or {})
    own = dict(flatten(model))
    return own[key] if key in own else dict(flatten(params)).get(key)
