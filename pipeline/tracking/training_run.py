"""Record one training; stage train passes this to `training.variant`."""

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
def record_training(config: TrackingConfig, identity: Identity, setup: SeedSetup) -> Iterator[Run]:
    """The run of `identity`, with the params and datasets of the training."""
    with record(config, "train", identity) as run:
        run.log_params(variant_params(setup.description))
        run.log_datasets(describe_datasets(setup.folder, read_stats(setup.folder), setup.splits))
        yield run
