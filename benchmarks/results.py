"""Time of the stages from reference to report, of all variants, against the time of their training."""

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import project
from benchmarks.measure import Row
from pipeline.core import params


def measure(raw: dict[str, Any], folder: Path) -> Counter[str]:
    """Build all that params `raw` describe in `folder`; the seconds of each stage, over all of its runs.

    Each stage is a process, as under DVC, whose own time is not counted. Each variant is evaluated and drawn right
    after its training, so that a busy machine slows both alike.
    """
    project.create(folder, raw)
    seconds: Counter[str] = Counter()

    def run(stage: str, *arguments: str) -> None:
        start = time.perf_counter()
        project.run_stage(folder, stage, *arguments)
        seconds[stage] += time.perf_counter() - start

    run("download")
    run("windows")
    for name in raw["representations"]:
        run("cache", name)
    run("reference")
    for name in raw["models"]:
        for stage in ("train", "evaluate", "figures"):
            run(stage, name)
    run("report")
    return seconds


def rows() -> list[Row]:
    """All stages after training together, and each, against all trainings, with the project's params."""
    with tempfile.TemporaryDirectory() as name:
        seconds = measure(params.read_params(), Path(name))
    stages = {stage: seconds[stage] for stage in ("reference", "evaluate", "figures", "report")}
    stages = {"reference, evaluate, figures and report": sum(stages.values()), **stages}
    return [Row(f"{what}, all variants", value, "their training", seconds["train"]) for what, value in stages.items()]
