"""Time to start and end a stage, apart from its work: the default build starts 58 stages."""

import os
import subprocess
import sys

from benchmarks.measure import ROOT, Row, compare

ALL_LIBRARIES = "import torch, mlflow, pandas, pyarrow, librosa, matplotlib.pyplot, sklearn.decomposition"
AS_PROGRAM = "import sys; sys.argv[0] = '-m'"  # by this name, stages know that they run as programs


def _run(code: str) -> None:
    environment = os.environ | {"DVC_ROOT": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def _stage(name: str) -> str:
    return f"{AS_PROGRAM}\nimport stages.{name}, pipeline.schema.schema\npipeline.schema.schema.load()\n"


def rows() -> list[Row]:
    """Start of each stage against importing all libraries."""
    return [
        compare(
            f"start of stage {stage}",
            lambda stage=stage: _run(_stage(stage)),
            "importing all libraries",
            lambda: _run(ALL_LIBRARIES),
            rounds=3,
        )
        for stage in sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    ]
