"""What the first step of a process costs beyond the others: kernels that are tried, or compiled."""

import json
import subprocess
import sys

from benchmarks.measure import Row
from benchmarks.memory import ROOT
from benchmarks.training.study import VARIANTS, Study
from benchmarks.windows import Silent
from pipeline.core.distributed import pick_device


def measure(variant: str, compiled: bool = False) -> list[float]:
    """Seconds of the first step in a new process, and of one of the next twenty."""
    command = [sys.executable, "-m", "benchmarks.training.first", variant, json.dumps(compiled)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: list[float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def rows() -> list[Row]:
    """On a GPU also with torch.compile."""
    cells = [
        (name, compiled) for name in VARIANTS for compiled in (False, True)[: 1 + (pick_device("auto").type == "cuda")]
    ]
    return [
        Row(f"first step of a process, {name}{', compiled' if compiled else ''}", times[0], "a later step", times[1])
        for name, compiled in cells
        for times in [measure(name, compiled)]
    ]


if __name__ == "__main__":
    name, compiled = sys.argv[1], json.loads(sys.argv[2])
    watch = Silent()
    study = Study.of(name, steps=21, epochs=1, compile=compiled)
    study.fit(watch)
    row = watch.rows[0]
    print(json.dumps([row["first_step_seconds"], study.settings.batch_size / row["windows_per_second"]]))
