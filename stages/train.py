"""Train a variant, once per seed: data/models/<variant>/seed-<n>/."""

import os
import sys
from functools import partial

from pipeline.core.params import RuntimeConfig, read_params, read_section
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.training_run import record_training
from pipeline.training.config import read_variant
from pipeline.training.launch import launch
from pipeline.training.variant import train_variant
from stages import run


def main(name: str) -> None:
    """Write data/models/<name>; with `train.devices` above 1, by as many processes (ranks)."""
    raw = read_params()
    config, settings = read_variant(raw, name)
    is_rank = "RANK" in os.environ
    if config.loss and settings.devices > 1 and not is_rank:
        launch(main, (name,), settings.devices)
        return
    open_run = partial(record_training, read_section(TrackingConfig, "tracking", raw=raw), "train")
    try:
        train_variant(name, raw, read_section(RuntimeConfig, "runtime", raw=raw), open_run)
    finally:
        publisher.wait()  # here, since a rank has no `at_end`


if __name__ == "__main__":
    run(main, *sys.argv[1:])
