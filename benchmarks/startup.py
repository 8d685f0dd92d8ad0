"""What a stage costs before it does any work: a study of fifteen variants starts some fifty processes."""

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Row, compare

ROOT = Path(__file__).parents[1]
# What a stage would pay if it imported what the pipeline uses as a whole.
EVERYTHING = "import torch, mlflow, pandas, pyarrow, librosa, matplotlib.pyplot, sklearn.decomposition"


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def rows() -> list[Row]:
    """Importing a stage and checking all of params.yaml, against importing every library."""
    stages = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    return [
        compare(
            f"start of stage {stage}",
            lambda stage=stage: _run(f"import stages.{stage}, pipeline.schema; pipeline.schema.load()"),
            "importing all libraries",
            lambda: _run(EVERYTHING),
            rounds=3,
        )
        for stage in stages
    ]
