"""Records the training of one seed in MLflow: what stage train gives to `training.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

from pipeline.dataset.split import read_stats
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.logged_values import epoch_metrics, variant_params
from pipeline.tracking.run import Run, record
from pipeline.training.seed import SeedSetup

STEP_TERMS = ("loss", "reconstruction", "kl", "grad_norm")


class TrainingRun:
    """The open run of one seed. What an earlier process has logged before it was stopped is not logged again."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def identity(self) -> dict[str, Any]:
        """See `Run.identity`."""
        return self._run.identity

    def log_epoch(self, row: dict[str, float]) -> None:
        """Log a row of history."""
        self._run.log_metrics(epoch_metrics(row), step=int(row["epoch"]), once="epoch/seconds")

    def log_steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """Log the main terms of each step; `first` is the number of the first step."""
        series = {
            step: {f"step/{term}": row[term] for term in STEP_TERMS if isfinite(row[term])}
            for step, row in enumerate(rows, first)
        }
        self._run.log_series(series, once="step/loss")


@contextmanager
def open_training_run(config: TrackingConfig, identity: dict[str, Any], setup: SeedSetup) -> Iterator[TrainingRun]:
    """Open the run of `identity`, with the params and datasets of the training."""
    with record(config, "train", identity) as run:
        run.log_params(variant_params(setup.description))
        run.log_datasets(describe_datasets(setup.folder, read_stats(setup.folder), setup.splits))
        yield TrainingRun(run)
