"""Record one evaluation; stage evaluate passes this to `evaluation.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.artefacts import read_json
from pipeline.evaluation.variant import EvaluationSetup
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.run import Run, record


@contextmanager
def record_evaluation(tracking: TrackingConfig, setup: EvaluationSetup, trained: Path, is_first: bool) -> Iterator[Run]:
    """The run that trained the model in the folder `trained`; the first seed also logs, and may register, the model."""
    with record(tracking, "evaluate", read_json(trained / "config.json"), setup.fingerprint) as run:
        run.log_training(trained)
        run.log_datasets(describe_datasets(setup.folder, setup.stats, setup.splits))
        if is_first:
            run.log_model(setup.variant, trained, tracking.register)
        yield run
