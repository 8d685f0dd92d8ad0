"""Record one training; stages train and vocoder pass this to `training.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.dataset.split import read_stats
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.logged_values import variant_params
from pipeline.tracking.run import Run, record
from pipeline.tracking.run_tags import Identity
from pipeline.training.seed import SeedSetup


@contextmanager
def record_training(config: TrackingConfig, stage: str, identity: Identity, setup: SeedSetup) -> Iterator[Run]:
    """The run of `identity`, with the params and datasets of the training; `stage` is train or vocoder."""
    with record(config, stage, identity) as run:
        run.log_params(variant_params(setup.description))
        run.log_datasets(describe_datasets(setup.folder, read_stats(setup.folder), setup.splits))
        yield run
