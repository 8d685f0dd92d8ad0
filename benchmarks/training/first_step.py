"""The first step of a process, which tries or compiles kernels, against a later step."""

import json
import sys

from benchmarks.measure import Row, run_module
from benchmarks.training.case import VARIANTS, Case, History
from pipeline.core.device import pick_device
from pipeline.training.loop import fit


def measure(variant: str, compiled: bool = False) -> list[float]:
    """Seconds of the first step in a new process, and of one of the next twenty."""
    seconds: list[float] = json.loads(run_module("benchmarks.training.first_step", variant, json.dumps(compiled)))
    return seconds


def rows() -> list[Row]:
    """On a GPU also with torch.compile."""
    choices = {"": False, ", compiled": True} if pick_device("auto").type == "cuda" else {"": False}
    return [
        Row(f"first step of a process, {name}{suffix}", first, "a later step", later)
        for name in VARIANTS
        for suffix, compiled in choices.items()
        for first, later in [measure(name, compiled)]
    ]


if __name__ == "__main__":
    history = History()
    case = Case.of(sys.argv[1], steps=21, epochs=1, compile=json.loads(sys.argv[2]))
    fit(case.trainer(), history)
    row = history.rows[0]
    print(json.dumps([row["first_step_seconds"], case.settings.batch_size / row["windows_per_second"]]))
