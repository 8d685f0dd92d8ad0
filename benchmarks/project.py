"""A project of its own to measure in: the code of this checkout, other params, its own data."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import ROOT

CODE = ("pipeline", "stages", "dvc.yaml")


def create(folder: Path, raw: dict[str, Any]) -> None:
    """Set up a project with params `raw` in the empty `folder`."""
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    write_params(folder, raw)
    (folder / "data" / "music").mkdir(parents=True)


def write_params(folder: Path, raw: dict[str, Any]) -> None:
    """Write params.yaml."""
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def environment(folder: Path) -> dict[str, str]:
    """The environment of the project's processes: MLflow's store is that of the project."""
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return kept | {"PYTHONPATH": str(folder), "DVC_ROOT": str(folder)}


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage as DVC does, in a process of its own."""
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
