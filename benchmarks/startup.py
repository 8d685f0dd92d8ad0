"""What a stage costs before and after its work: a study of fifteen variants starts some fifty processes."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, compare

ROOT = Path(__file__).parents[1]
# What a stage would pay if it imported what the pipeline uses as a whole.
EVERYTHING = "import torch, mlflow, pandas, pyarrow, librosa, matplotlib.pyplot, sklearn.decomposition"
# Stages look at this name to see that they run as programs.
PROGRAM = "import sys; sys.argv[0] = '-m'"
RECORD = """
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
with record(TrackingConfig(enabled={enabled}), "train", {{"variant": "any", "seed": 0, "fingerprint": "any"}}) as run:
    run.metrics({{"loss": 1.0}})
"""


def _run(code: str, project: Path = ROOT) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | {"DVC_ROOT": str(project)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def _stage(name: str) -> str:
    return f"{PROGRAM}\nimport stages.{name}, pipeline.schema\npipeline.schema.load()\n"


def rows() -> list[Row]:
    """Starting and ending a stage, against importing every library; recording a run, against not doing so."""
    stages = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    found = [
        compare(
            f"start of stage {stage}",
            lambda stage=stage: _run(_stage(stage)),
            "importing all libraries",
            lambda: _run(EVERYTHING),
            rounds=3,
        )
        for stage in stages
    ]
    with tempfile.TemporaryDirectory() as name:  # its database is made in the round that warms up
        recording, silent = (_stage("train") + RECORD.format(enabled=enabled) for enabled in (True, False))
        usual = recording.replace(PROGRAM, "")
        for reference, code in (("without a run", silent), ("with Python's usual search for garbage", usual)):
            found.append(
                compare(
                    "start of stage train, with a run recorded",
                    lambda: _run(recording, Path(name)),
                    f"the same {reference}",
                    lambda code=code: _run(code, Path(name)),
                    rounds=3,
                )
            )
    return found
