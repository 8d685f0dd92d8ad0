"""stages/python: which Python runs a stage, and folders of results that are links."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder with stages/python, and a folder bin with only the programs that it needs."""
    folder = tmp_path / "a checkout"
    (folder / "stages").mkdir(parents=True)
    shutil.copy(ROOT / "stages" / "python", folder / "stages")
    (tmp_path / "bin").mkdir()
    for name in ("sh", "echo", "mkdir"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return folder


def add_environment(folder: Path, *names: str) -> Path:
    """A folder bin with scripts that print their path and arguments."""
    for name in names:
        script = folder / "bin" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text('#!/bin/sh\nfor word in "$0" "$@"; do echo "$word"; done\n')
        script.chmod(0o755)
    return folder / "bin"


def run(checkout: Path, *path: Path, **environment: str) -> subprocess.CompletedProcess:
    variables = {"PATH": ":".join(map(str, (*path, checkout.parent / "bin")))} | environment
    command = ["sh", "stages/python", "-m", "stages.train", "a variant"]
    return subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True)


def expect(done: subprocess.CompletedProcess, folder: Path) -> None:
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(folder / "python"), "-m", "stages.train", "a variant"]


def test_without_activation_the_python_of_the_project_runs(checkout):
    own = add_environment(checkout / ".venv", "python", "melisma")
    assert run(checkout).stdout.splitlines()[0] == "./.venv/bin/python"
    workspace = checkout.parent / "workspace"  # of `dvc exp run --temp`
    shutil.copytree(checkout / "stages", workspace / "stages")
    expect(run(workspace, DVC_ROOT=str(checkout)), own)


def test_another_python_on_path_is_no_obstacle(checkout):
    own = add_environment(checkout / ".venv", "python", "melisma")
    other = add_environment(checkout.parent / "conda base", "python", "dvc")
    expect(run(checkout, other, DVC_ROOT=str(checkout)), own)


def test_an_active_environment_with_melisma_comes_first(checkout):
    add_environment(checkout / ".venv", "python", "melisma")
    active = add_environment(checkout.parent / "my conda", "python", "melisma")
    expect(run(checkout, active, DVC_ROOT=str(checkout)), active)


def test_without_an_environment_one_line_says_what_to_do(checkout):
    other = add_environment(checkout.parent / "other", "python")
    done = run(checkout, other, DVC_ROOT=str(checkout))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no Python environment has Melisma; run 'make setup'")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["data", "data/raw", "data/models"])
def test_a_link_to_a_larger_disk_is_refused_before_the_stage(checkout, name):
    add_environment(checkout / ".venv", "python", "melisma")
    (checkout.parent / "disk").mkdir()
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).symlink_to(checkout.parent / "disk")
    done = run(checkout)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {name} is a link") and len(done.stderr.splitlines()) == 1


def test_links_to_recordings_are_no_obstacle(checkout):
    add_environment(checkout / ".venv", "python", "melisma")
    (checkout / "data").mkdir()
    (checkout / "data" / "music").symlink_to(checkout.parent)
    assert run(checkout).returncode == 0


def test_dvc_runs_a_stage_of_an_environment_that_is_not_active(checkout, tmp_path):
    add_environment(checkout / ".venv", "python", "melisma")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert all(command.startswith("sh stages/python -m stages.") for command in commands)
    (checkout / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"download": {"cmd": commands[0]}}}))
    variables = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")} | {"PATH": str(tmp_path / "bin")}
    for arguments in (["init", "--no-scm", "-q"], ["repro"]):
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert f"{checkout}/.venv/bin/python\n-m\nstages.download\n" in done.stdout
