"""Ranks that are launched end together, with one error, and leave none behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.core.errors import ParamsError, TrainingError
from pipeline.training import launch as launching
from tests.training import ranks


@pytest.mark.parametrize(
    ("number", "how", "error", "message"),
    [
        (1, "raises", ParamsError, "^its own words$"),
        (0, "killed", TrainingError, "^rank 0 of 2 was killed by SIGKILL, perhaps for want of memory; try a lower"),
    ],
)
def test_the_error_is_that_of_the_rank_that_failed(number, how, error, message):
    """Not that of the other one, whose connection to it is closed."""
    with pytest.raises(error, match=message):
        launching.launch(ranks.fails, [str(number), how], 2)


def test_a_rank_that_hears_nothing_is_killed_and_what_is_no_error_of_ours_is_named(monkeypatch):
    monkeypatch.setattr(launching, "GRACE", 0.5)
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"^rank 1 of 2: ZeroDivisionError: its own words; MELISMA_DEBUG=1 shows"):
        launching.launch(ranks.hangs, [], 2)
    assert time.monotonic() - began < 30


def begun(folder) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """A program with two ranks that have begun to work."""
    command = [sys.executable, "-m", "tests.training.ranks", "works", str(folder)]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True)
    for _ in range(600):
        found = [p for name in "01" if (p := folder / name).exists() and p.read_text()]
        if len(found) == 2:
            return process, [psutil.Process(int(p.read_text())) for p in found]
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no rank has begun in 30 s")


@pytest.mark.parametrize(
    ("number", "code", "everyone"),
    [(signal.SIGINT, 130, True), (signal.SIGTERM, 143, False)],
)
def test_a_signal_reaches_all_ranks_once_and_they_save(tmp_path, number, code, everyone):
    """Also when a terminal sends it to the whole group of processes."""
    process, both = begun(tmp_path)
    (os.killpg if everyone else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert len(errors.splitlines()) == (1 if code == 130 else 0), errors
    assert (tmp_path / "0.saved").exists() and (tmp_path / "1.saved").exists()
    assert psutil.wait_procs(both, timeout=30)[1] == []


def spawned(process: subprocess.Popen) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # libraries start some that end at once
            found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
    return found


def test_a_signal_while_the_ranks_start_ends_them(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.ranks", "works", str(tmp_path)], stdout=-1, stderr=-1, text=True
    )
    while not (started := spawned(process)):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and len(errors.splitlines()) == 1, errors
    assert psutil.wait_procs(started, timeout=30)[1] == []


@pytest.mark.slow
def test_a_second_signal_does_not_wait(tmp_path):
    process, both = begun(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.25)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130 and not (tmp_path / "0.saved").exists()
    assert psutil.wait_procs(both, timeout=30)[1] == []


def test_after_kill_9_no_rank_stays(tmp_path):
    process, both = begun(tmp_path)
    process.kill()
    process.communicate(timeout=30)
    assert psutil.wait_procs(both, timeout=30)[1] == []
