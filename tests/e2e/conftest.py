"""A clone of the project with tiny params, in which DVC really runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    "source": {"synth": {"styles": 3, "clips": 3, "clips_per_group": 1, "seconds": 4.0, "sample_rate": 8000}},
    "windows": {"seconds": 1.0},
    "representations": {
        "mel128": {"sample_rate": 8000, "n_fft": 1024, "hop_length": 256, "bands": 32},
        "wave3k": {"sample_rate": 1000},
        "wave22k": {"sample_rate": 8000},
    },
    "vocoders": {
        "mel128": {
            "network": {"width": 8, "layers": 1, "iterations": 1},
            "train": {"epochs": 1, "batch_size": 4, "crop_seconds": 0.5},
        }
    },
    "models": {
        "mel_conv": {"network": {"channels": [4, 8], "strides": 2, "components": 8}, "bottleneck": {"latent": 4}},
        "pca": {},
    },
    "train": {"epochs": 2, "warmup_steps": 2, "snapshots": 2},
    "evaluate": {"examples": 2, "audio_windows": 2, "samples": 1, "bootstrap": 20},
    "figures": {"dpi": 50},
    "runtime": {"device": "cpu", "workers": 1},  # starting a second one takes longer than it saves
    "tracking": {"enabled": False},  # importing MLflow takes longer than a stage's own work
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, level by level."""
    laid = dict(base)
    for key, value in changes.items():
        laid[key] = merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return laid


@dataclass
class Project:
    """A checkout in which commands run as a user would run them."""

    path: Path

    def run(self, *command: str, expect: int | None = 0, **environment: str) -> str:
        """Run a command there and return all that it printed; `expect` is its exit code."""
        done = subprocess.run(
            command, cwd=self.path, env=environ() | environment, capture_output=True, text=True, timeout=540
        )
        printed = done.stdout + done.stderr
        assert expect is None or done.returncode == expect, printed
        return printed

    def repro(self, *arguments: str, expect: int | None = 0) -> list[str]:
        """`dvc repro`; the names of the stages that ran."""
        printed = self.run("dvc", "repro", *arguments, expect=expect)
        return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage '")]

    def set(self, changes: dict[str, Any]) -> None:
        """Change params.yaml."""
        file = self.path / "params.yaml"
        file.write_text(yaml.safe_dump(merged(yaml.safe_load(file.read_text()), changes), sort_keys=False))

    def keep(self, variants: Iterable[str]) -> None:
        """Take all other variants out of params.yaml."""
        file = self.path / "params.yaml"
        params = yaml.safe_load(file.read_text())
        params["models"] = {name: block for name, block in params["models"].items() if name in variants}
        file.write_text(yaml.safe_dump(params, sort_keys=False))


def environ() -> dict[str, str]:
    """This process's environment with its own Python first on PATH, and without what an outer DVC may have set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_", "GIT_"))}
    # The number of threads changes the last digits of a sum, and two busy test workers would fight for the cores.
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def contents(project: Project, variant: str) -> dict[str, bytes]:
    """The bytes of all files of a trained variant."""
    folder = project.path / "data" / "models" / variant
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def clone(folder: Path, changes: dict[str, Any], variants: Iterable[str] = TINY["models"]) -> Project:
    """The working tree as it stands with small variants, all or those named, committed as a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(lambda n: (ROOT / n).is_file(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    project.set(merged(TINY, changes))
    project.keep(variants)
    project.run("git", "init", "-q")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "tiny")
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Built once from end to end."""
    made = clone(tmp_path_factory.mktemp("project"), {})
    made.ran_first = made.repro()  # type: ignore[attr-defined]
    return made
