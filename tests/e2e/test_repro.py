"""`melisma repro`: the bytes of `dvc repro`, whatever fails or is killed on the way."""

import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.e2e.conftest import Project, environ

pytestmark = pytest.mark.e2e


def data(project: Project) -> dict[str, bytes]:
    """The bytes of all files that stages write."""
    folder = project.path / "data"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def processes_left(folder: Path) -> list[psutil.Process]:
    """Processes that work in `folder`."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                left.append(process)
    return left


@pytest.fixture(scope="module")
def copy(project, tmp_path_factory):
    """The same commit as `project`, which `dvc repro` built, without its data and DVC's cache."""
    folder = tmp_path_factory.mktemp("copy")
    project.run("git", "clone", "-q", str(project.path), str(folder / "project"))
    return Project(folder / "project")


def clean(project: Project) -> None:
    """Remove all that a build writes."""
    project.run("git", "clean", "-fdxq")


def test_a_build_that_is_killed_at_random_goes_on_to_the_bytes_of_dvc(project, copy):
    clean(copy)
    command = ["melisma", "repro", "--jobs", "2"]
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        seconds = random.uniform(2, 10)
        process = subprocess.Popen(command, cwd=copy.path, env=environ(), stdout=-1, stderr=-1, text=True)
        time.sleep(seconds)
        process.send_signal(number)
        printed = "".join(process.communicate(timeout=60))
        assert "Traceback" not in printed and "FAILED" not in printed, (number, seconds, printed)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), (number, seconds, printed)
        assert psutil.wait_procs(processes_left(copy.path), timeout=30)[1] == [], (number, seconds)
    both = [subprocess.Popen(command, cwd=copy.path, env=environ(), stdout=-1, stderr=-1, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    waited = [text for text in printed if "another process is building this project" in text]
    assert len(waited) == 1 and waited[0].endswith("everything is up to date\n")
    assert data(copy) == data(project)
    assert copy.repro() == []


def test_a_stage_that_fails_stops_only_what_needs_it(copy):
    stage = copy.path / "stages" / "evaluate.py"
    text = stage.read_text()
    broken = '    if name == "pca":\n        raise SystemExit("error: broken")\n    raw = read_params()\n'
    stage.write_text(text.replace("    raw = read_params()\n", broken))
    printed = copy.run("melisma", "repro", expect=1)
    stage.write_text(text)
    assert "evaluate@pca failed: broken" in printed
    assert "error: 1 of 5 stages failed; not run, since they need what failed: figures@pca, report" in printed
    assert [line for line in printed.splitlines() if line.startswith("figures@mel_conv") and "done after" in line]
    assert "Traceback" not in printed
    copy.run("melisma", "repro")


def test_wrong_params_stop_it_before_anything_runs(copy):
    params = copy.path / "params.yaml"
    text = params.read_text()
    params.write_text(yaml.safe_dump(yaml.safe_load(text) | {"seeds": []}))
    printed = copy.run("melisma", "repro", expect=2)
    params.write_text(text)
    assert printed.startswith("error: params.yaml: seeds")
    assert "nosuch" in copy.run("melisma", "repro", "nosuch", expect=1)
