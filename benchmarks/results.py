"""What results cost beside training: the stages from reference to report of every variant, against their training."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import Row
from pipeline.core import params

ROOT = Path(__file__).parents[1]
PARTS = ("pipeline", "stages", "dvc.yaml")


def measure(raw: dict[str, Any], folder: Path) -> Counter[str]:
    """Seconds of each stage, over all of its runs, when `folder` builds everything that params `raw` ask for.

    A stage is a process of its own, as under DVC, whose own work is not counted. Each variant is scored and drawn right
    after it was trained, so that a busy machine slows both alike.
    """
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    (folder / "data" / "music").mkdir(parents=True)
    taken: Counter[str] = Counter()

    def run(stage: str, *names: str) -> None:
        began = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": str(folder), "DVC_ROOT": str(folder)}
        command = [sys.executable, "-m", f"stages.{stage}", *names]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        taken[stage] += time.perf_counter() - began

    run("download")
    run("windows")
    for name in raw["representations"]:
        run("cache", name)
    run("reference")
    for name in raw["models"]:
        for stage in ("train", "evaluate", "figures"):
            run(stage, name)
    run("report")
    return taken


def rows() -> list[Row]:
    """Of the project's params: all stages of results together, and each, against all trainings."""
    with tempfile.TemporaryDirectory() as name:
        taken = measure(params.read_params(), Path(name))
    shown = {stage: taken[stage] for stage in ("reference", "evaluate", "figures", "report")}
    return [
        Row(f"{what}, all variants", seconds, "their training", taken["train"])
        for what, seconds in {"reference, evaluate, figures and report": sum(shown.values()), **shown}.items()
    ]
