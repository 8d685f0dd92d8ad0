"""The cost of tracking: trainings of 20 epochs with and without it, in turn.

One publisher sends the runs of many stages to MLflow. So it runs before the first training, and its start is a row
of its own.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import yaml

from benchmarks.measure import ROOT, Row, project_environment
from pipeline.core import params
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import Run, record

VARIANT, EPOCHS, ROUNDS = "mel_conv", 20, 5
IDENTITY = {"variant": "other", "seed": 0, "fingerprint": "other", "data": "other"}
SETTLE_SECONDS = 3.0  # the publisher goes on for a moment after a stage


def measure(raw: dict[str, Any], folder: Path, rounds: int) -> list[Row]:
    """Processor time and wall time of trainings in a project of its own, the empty `folder`.

    They are medians over the rounds, each with its own seed.
    """
    for name in ("pipeline", "stages", "dvc.yaml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "data" / "music").mkdir(parents=True)
    _write_params(folder, raw)
    with patch.dict(os.environ, project_environment(folder), clear=True):
        _run_stage(folder, "download")
        _run_stage(folder, "windows")
        _run_stage(folder, "cache", raw["models"][VARIANT]["representation"])
        publisher = _start_publisher()  # creates the database
        publisher.kill()
        publisher.wait()
        publisher = _start_publisher()
        start, times = _processor_time(publisher), []
        for seed in range(rounds):
            with _other_run():  # a publisher without a live run would end
                untracked = _train(folder, raw, seed, is_tracked=False)
            time.sleep(SETTLE_SECONDS)
            before = _processor_time(publisher)
            stage, wall = _train(folder, raw, seed, is_tracked=True)
            time.sleep(SETTLE_SECONDS)
            sending = _processor_time(publisher) - before
            times.append((*untracked, stage + sending, wall, sending))
        assert publisher == _publisher(), "the publisher did not live through all rounds"
    plain, plain_wall, tracked, tracked_wall, sending = map(statistics.median, zip(*times, strict=True))
    what = f"training of {VARIANT}, tracked"
    return [
        Row(f"{what}: processor time, with the publisher's", tracked, "untracked", plain),
        Row(f"{what}: wall time", tracked_wall, "untracked", plain_wall),
        Row("publisher alone: processor time", sending, "untracked training", plain),
        Row("start of the publisher: processor time", start, "untracked training", plain),
    ]


def rows() -> list[Row]:
    """The default variant with the project's params. A ratio of 0.98 means that tracking costs 2 %."""
    raw = params.read_params()
    raw["train"]["epochs"] = EPOCHS
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # the publisher ends when the folder is gone
        return measure(raw, Path(name), ROUNDS)


def _train(folder: Path, raw: dict[str, Any], seed: int, is_tracked: bool) -> tuple[float, float]:
    """Processor time of the stage, without the publisher's, and its wall time."""
    _write_params(folder, raw | {"seeds": [seed], "tracking": raw["tracking"] | {"enabled": is_tracked}})
    shutil.rmtree(folder / ".melisma" / "seeds", ignore_errors=True)  # the other side has trained this seed
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    _run_stage(folder, "train", VARIANT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


def _write_params(folder: Path, raw: dict[str, Any]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def _run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage as DVC does, in a process of its own."""
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _other_run() -> AbstractContextManager[Run]:
    """A run that this process records."""
    return record(TrackingConfig(), "train", IDENTITY)


def _start_publisher() -> psutil.Process:
    """The publisher, after it has sent a run."""
    with _other_run():
        pass
    time.sleep(SETTLE_SECONDS)
    return _publisher()


def _publisher() -> psutil.Process:
    """The running publisher, which this process has started."""
    children = psutil.Process().children()
    (publisher,) = [child for child in children if "pipeline.tracking.publisher" in " ".join(child.cmdline())]
    return publisher


def _processor_time(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:4]))  # user and system, of the process and of its children
