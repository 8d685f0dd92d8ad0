"""Launched ranks end together, with one error, and none outlives the launcher."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.core.errors import ParamsError, TrainingError
from pipeline.training import launch
from tests.training import ranks


@pytest.mark.parametrize(
    ("number", "how", "error", "message"),
    [
        (1, "raises", ParamsError, "^its own words$"),
        (0, "killed", TrainingError, "^rank 0 of 2 was killed by SIGKILL, perhaps for lack of memory; try a lower"),
    ],
)
def test_the_error_of_the_rank_that_failed_is_raised(number, how, error, message):
    """Not the error of the other rank, whose connection to it is closed."""
    with pytest.raises(error, match=message):
        launch.launch(ranks.fail, [str(number), how], 2)


def test_a_rank_that_ignores_sigterm_is_killed_and_an_unexpected_error_is_named(monkeypatch):
    monkeypatch.setattr(launch, "TERMINATE_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(TrainingError, match=r"^rank 1 of 2: ZeroDivisionError: its own words; MELISMA_DEBUG=1 shows"):
        launch.launch(ranks.hang, [], 2)
    assert time.monotonic() - start < 30


def start_two_ranks(folder) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A program with two ranks that work already."""
    command = [sys.executable, "-m", "tests.training.ranks", "work", str(folder)]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True)
    for _ in range(600):
        files = [p for name in "01" if (p := folder / name).exists() and p.read_text()]
        if len(files) == 2:
            return process, [psutil.Process(int(p.read_text())) for p in files]
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the ranks did not start in 30 s")


@pytest.mark.parametrize(
    ("number", "code", "to_group"),
    [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False), (signal.SIGTERM, 143, True)],
)
def test_a_signal_reaches_all_ranks_once_and_they_save(tmp_path, number, code, to_group):
    """Also if a terminal sends it to the whole process group."""
    process, children = start_two_ranks(tmp_path)
    (os.killpg if to_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert len(errors.splitlines()) == (1 if code == 130 else 0), errors
    assert (tmp_path / "0.saved").exists() and (tmp_path / "1.saved").exists()
    assert psutil.wait_procs(children, timeout=30)[1] == []


def spawned_ranks(process: subprocess.Popen) -> list[psutil.Process]:
    children = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # libraries start processes that end at once
            children += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return children


def test_a_signal_during_their_imports_ends_the_ranks(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.ranks", "work", str(tmp_path)], stdout=-1, stderr=-1, text=True
    )
    while not (children := spawned_ranks(process)):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and len(errors.splitlines()) == 1, errors
    assert psutil.wait_procs(children, timeout=30)[1] == []


@pytest.mark.slow
def test_a_second_signal_ends_them_at_once(tmp_path):
    process, children = start_two_ranks(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.25)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and not (tmp_path / "0.saved").exists()
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_no_rank_outlives_kill_9(tmp_path):
    process, children = start_two_ranks(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    assert psutil.wait_procs(children, timeout=30)[1] == []
