"""The cache on a real Dask cluster: a scheduler and two worker processes on the loopback interface."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Project, clone, environ

pytestmark = pytest.mark.e2e
STAGE = (sys.executable, "-m", "stages.cache", "mel128")
LONG = {  # several shards, each of which takes long enough to be caught at work
    "source": {"synth": {"styles": 1, "clips": 6, "seconds": 60.0}},
    "representations": {"mel128": {"hop_length": 8}},
}


@contextmanager
def dask(project: Project, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    program = str(Path(sys.executable).with_name("dask"))
    with (project.path / f"{command[0]}.log").open("ab") as log:
        process = subprocess.Popen([program, *command], cwd=project.path, env=environ(), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.001)
    return result


def worker(project: Project, address: str) -> Any:
    return dask(project, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")


def content(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.path / "data/cache/mel128").iterdir()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With a cache that was made locally, and the cluster chosen for the next one."""
    made = clone(tmp_path_factory.mktemp("cluster"), LONG)
    for stage in ("download", "windows"):
        made.run(sys.executable, "-m", f"stages.{stage}")
    made.run(*STAGE)
    made.set({"cache": {"engine": "dask"}})
    return made


@pytest.fixture(scope="module")
def scheduler(project: Project) -> Iterator[str]:
    """The address of a scheduler with one worker."""
    file = project.path / "scheduler.json"
    where = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with dask(project, "scheduler", *where):
        address = json.loads(until(lambda: file.is_file() and file.read_text()))["address"]
        with worker(project, address):
            yield address


def test_killed_worker_s_shard_is_done_again_and_bytes_are_those_of_a_local_run(project, scheduler):
    local = content(project)
    assert len(local) > 4
    with worker(project, scheduler) as doomed:
        stage = subprocess.Popen(STAGE, cwd=project.path, env=environ() | {"DASK_SCHEDULER_ADDRESS": scheduler})
        at_work = until(lambda: [*(project.path / ".melisma/cache").glob(f"mel128-*/.*.{doomed.pid}")])
        os.kill(doomed.pid, signal.SIGKILL)
        assert stage.wait(120) == 0
    assert at_work[0].name.split(".")[1] + ".parquet" in local
    assert content(project) == local


def test_worker_with_other_code_is_refused(project, scheduler):
    with (project.path / "pipeline/audio/scale.py").open("a") as file:
        file.write("# changed while the worker runs\n")
    printed = project.run(*STAGE, DASK_SCHEDULER_ADDRESS=scheduler, expect=1)
    assert "has other code of Melisma" in printed and "Traceback" not in printed
