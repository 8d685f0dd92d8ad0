"""Make what turns the mels of a representation into audio: data/vocoders/<representation>/."""

import os
import sys
from functools import partial

from pipeline.core.params import RuntimeConfig, read_params, read_section
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.training_run import record_training
from pipeline.training.launch import launch
from pipeline.vocoder.config import read_vocoder
from pipeline.vocoder.make import make_vocoder
from stages import run


def main(representation: str) -> None:
    """Write data/vocoders/<representation>; with `train.devices` above 1, by as many processes (ranks)."""
    raw = read_params()
    config = read_vocoder(raw, representation)
    if config.type == "trained" and config.train.devices > 1 and "RANK" not in os.environ:
        launch(main, (representation,), config.train.devices)
        return
    open_run = partial(record_training, read_section(TrackingConfig, "tracking", raw=raw), "vocoder")
    try:
        make_vocoder(representation, raw, read_section(RuntimeConfig, "runtime", raw=raw), open_run)
    finally:
        publisher.wait()  # here, since a rank has no `at_end`


if __name__ == "__main__":
    run(main, *sys.argv[1:])
