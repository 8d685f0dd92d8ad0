"""Train a variant, once per seed: data/models/<variant>/seed-<n>/."""

import os
import subprocess
import sys
from functools import partial

from pipeline.core.distributed import pick_device
from pipeline.core.params import RuntimeConfig, read_params, read_section
from pipeline.core.process import cores, exit_with_parent
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.training_run import record_training
from pipeline.training.config import read_seeds, read_variant
from pipeline.training.launch import launch
from pipeline.training.variant import train_variant
from stages import run


def main(name: str, *ahead: str) -> None:
    """Write data/models/<name>; with `train.devices` above 1, by as many processes (ranks).

    A helper gets seeds to train ahead of the stage that has started it.
    """
    raw = read_params()
    config, settings = read_variant(raw, name)
    runtime = read_section(RuntimeConfig, "runtime", raw=raw)
    if config.loss and settings.devices > 1 and "RANK" not in os.environ:
        launch(main, (name,), settings.devices)
        return
    open_run = partial(record_training, read_section(TrackingConfig, "tracking", raw=raw))
    helpers = []
    if ahead:
        exit_with_parent(os.getppid())
    elif config.loss and settings.devices == 1 and pick_device(runtime.device).type == "cpu":
        helpers = start_helpers(name, read_seeds(raw), cores() // settings.threads - 1)
    try:
        train_variant(name, raw, runtime, open_run, [int(seed) for seed in ahead])
    finally:
        for helper in helpers:
            helper.terminate()
            helper.wait()
        publisher.wait()  # here, since a rank has no `at_end`


def start_helpers(name: str, seeds: list[int], cores: int) -> "list[subprocess.Popen[bytes]]":
    """Train seeds on free cores, the last one first; this process starts with the first one and waits for the others.

    A helper's error is not shown: this process will meet it too.
    """
    count = min(cores, len(seeds) - 1)
    command = [sys.executable, "-m", "stages.train", name]
    shares = [[str(seed) for seed in seeds[:0:-1][first::count]] for first in range(count)]
    silent = subprocess.DEVNULL
    return [
        # In a group of its own: a terminal's Ctrl-C reaches only this process.
        subprocess.Popen([*command, *share], stdin=silent, stdout=silent, stderr=silent, process_group=0)
        for share in shares
    ]


if __name__ == "__main__":
    run(main, *sys.argv[1:])
