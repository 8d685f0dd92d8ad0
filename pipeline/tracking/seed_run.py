"""The MLflow run of one seed's training: what stage train hands to `training.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

from pipeline.dataset.split import read_stats
from pipeline.tracking import datasets, names
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import Run, record
from pipeline.training.seed import SeedSetup

STEP_TERMS = ("loss", "reconstruction", "kl", "grad_norm")


class SeedRun:
    """Logs a training to its run, except what an earlier process has logged before it was stopped."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def identity(self) -> dict[str, Any]:
        """See `Run.identity`."""
        return self._run.identity

    def log_epoch(self, row: dict[str, float]) -> None:
        """Log a row of history."""
        self._run.metrics(names.of_epoch(row), step=int(row["epoch"]), once="epoch/seconds")

    def log_steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """Log the main terms of each step; `first` is the number of the first one."""
        series = {
            step: {f"step/{term}": row[term] for term in STEP_TERMS if isfinite(row[term])}
            for step, row in enumerate(rows, first)
        }
        self._run.series(series, once="step/loss")


@contextmanager
def open_seed_run(config: TrackingConfig, identity: dict[str, Any], setup: SeedSetup) -> Iterator[SeedRun]:
    """The run of `identity`, with the settings and datasets of the training."""
    with record(config, "train", identity) as run:
        run.params(names.settings(setup.description))
        run.datasets(datasets.describe(setup.folder, read_stats(setup.folder), setup.splits))
        yield SeedRun(run)
