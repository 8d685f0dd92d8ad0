"""Time to start and end a stage, apart from its work: a study of fifteen variants starts some fifty processes."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Row, compare

ALL_LIBRARIES = "import torch, mlflow, pandas, pyarrow, librosa, matplotlib.pyplot, sklearn.decomposition"
AS_PROGRAM = "import sys; sys.argv[0] = '-m'"  # by this name, stages know that they run as programs
RECORD = """
import os
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
identity = {{"variant": "any", "seed": 0, "fingerprint": str(os.getpid())}}
with record(TrackingConfig(enabled={enabled}), "train", identity) as run:
    run.log_epoch({{"epoch": 1, "train_loss": 1.0}})
"""


def _run(code: str, project: Path = ROOT) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | {"DVC_ROOT": str(project)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def _stage(name: str) -> str:
    return f"{AS_PROGRAM}\nimport stages.{name}, pipeline.schema.schema\npipeline.schema.schema.load()\n"


def rows() -> list[Row]:
    """Start of each stage against importing all libraries; recording a run against not recording it."""
    results = [
        compare(
            f"start of stage {stage}",
            lambda stage=stage: _run(_stage(stage)),
            "importing all libraries",
            lambda: _run(ALL_LIBRARIES),
            rounds=3,
        )
        for stage in sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    ]
    with tempfile.TemporaryDirectory() as name:  # the warm-up round creates its database and starts the publisher
        recording, silent = (_stage("train") + RECORD.format(enabled=enabled) for enabled in (True, False))
        frequent_gc = recording.replace(AS_PROGRAM, "")
        for reference, code in (("without a run", silent), ("with Python's usual garbage collection", frequent_gc)):
            results.append(
                compare(
                    "start of stage train, with a run recorded",
                    lambda: _run(recording, Path(name)),
                    f"the same {reference}",
                    lambda code=code: _run(code, Path(name)),
                    rounds=3,
                )
            )
    return results
