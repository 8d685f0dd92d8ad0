"""Record one evaluation; stage evaluate passes this to `evaluation.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.artefacts import read_json
from pipeline.evaluation.variant import EvaluationSetup
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.run import Run, record

VERSION_TAGS = ("mse", "mel_mse", "cosine_similarity", "kl", "probe_accuracy", "parameters")  # tags of a version


@dataclass(frozen=True)
class EvaluationRun:
    """The open run of one seed. With `is_registered`, its model becomes a version of the registered model."""

    run: Run
    test_data: str  # digest of the test split
    is_registered: bool

    def log_evaluation(self, result: dict[str, Any], windows: pd.DataFrame) -> None:
        """Log an element of seeds.json, and the seed's rows of windows.parquet."""
        self.run.log_evaluation(result, windows)
        if self.is_registered:
            metrics = result["metrics"]
            tags = {f"test/{key}": f"{metrics[key]:.6g}" for key in VERSION_TAGS if metrics.get(key) is not None}
            self.run.register_model(tags | {"evaluation": result["evaluation"], "test_data": self.test_data})


@contextmanager
def record_evaluation(
    tracking: TrackingConfig, setup: EvaluationSetup, trained: Path, is_first: bool
) -> Iterator[EvaluationRun]:
    """The run that trained the model in the folder `trained`; the first seed also logs, and may register, the model."""
    datasets = describe_datasets(setup.folder, setup.stats, setup.splits)
    with record(tracking, "evaluate", read_json(trained / "config.json"), setup.fingerprint) as run:
        run.log_training(trained)
        run.log_datasets(datasets)
        if is_first:
            run.log_model(setup.variant, trained)
        yield EvaluationRun(run, datasets[-1]["dataset"]["digest"], is_first and tracking.register)
