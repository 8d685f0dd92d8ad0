"""DVC's queue of experiments and its workers. No other module uses DVC's internal classes."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.git import git
from pipeline.core.process import cores
from pipeline.studies.commit import create_stash
from pipeline.studies.study import Experiment

if TYPE_CHECKING:
    from dvc.repo.experiments.queue.base import QueueEntry
    from dvc.repo.experiments.queue.celery import LocalCeleryQueue

TERMINATE_SECONDS = 10.0  # from SIGTERM to SIGKILL for an experiment
WAIT_SECONDS = 60.0  # waiting time for a worker to start, or for DVC's lock
STAGE_LINE = re.compile(r"^Running stage '([^']+)'")
EPOCH_LINE = re.compile(r"epoch (\d+) of (\d+)")
ERROR_LINE = re.compile(r"^(?:error|ERROR): (.+)")


@dataclass(frozen=True)
class State:
    """The state of an experiment."""

    status: str  # queued, running, done, failed, lost (ended without the expected result), or "" (never run)
    detail: str = ""  # stage and epoch, or the error
    started: float | None = None  # seconds since 1970
    commit: str = ""  # the commit that it runs from, if it is in the queue


class Queue:
    """The queue of this project."""

    def __init__(self, queue: "LocalCeleryQueue") -> None:
        self._queue = queue

    def add(self, experiment: Experiment, base: str) -> None:
        """Queue an experiment on the commit `base` of `commit.snapshot`.

        Raises:
            MelismaError: DVC could not run it.
        """
        from dvc.repo.experiments.queue.base import QueueEntry
        from dvc.repo.experiments.queue.tasks import run_exp

        cache = str(self._queue.repo.cache.local.path)
        if not cache.isascii():  # DVC writes this path, as ASCII, to a file of each experiment
            raise MelismaError(f"{cache}: DVC queues no experiments if this path is not ASCII; move the project")
        head = git("rev-parse", "HEAD")
        message = self._queue.stash.format_message(head, head, experiment.full_name)
        stash = create_stash(experiment, base, head, message)
        self._push_stash(stash, f"commit: {message}")
        folders = str(workspace.root()), git("rev-parse", "--show-toplevel")
        entry = QueueEntry(*folders, self._queue.ref, stash, head, None, experiment.full_name, head)
        self._queue.celery.signature(run_exp.s(entry.asdict(), copy_paths=None, message=None)).delay()

    def _push_stash(self, stash: str, message: str) -> None:
        """Add a commit to DVC's list of stashes, under DVC's lock, since a worker may change the list."""
        from dvc.lock import LockError
        from dvc.repo.experiments.utils import get_exp_rwlock

        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with get_exp_rwlock(self._queue.repo, writes=[self._queue.ref]):
                    git("update-ref", "--create-reflog", "-m", message, self._queue.ref, stash)
                return
            except LockError as error:
                if time.monotonic() > end:
                    raise MelismaError(f"DVC's queue is locked: {error}") from error
                time.sleep(0.2)

    def states(self, names: set[str]) -> dict[str, State]:
        """The states of the experiments `names` (full names) that are queued, run or failed."""
        states: dict[str, State] = {}
        # Read in the order of the states, so that no experiment is missed when its state changes.
        for entry in self._queue.iter_queued():
            states[entry.name or ""] = State("queued", commit=entry.stash_rev)
        for entry in self._queue.iter_active():
            states[entry.name or ""] = State("running", self._position(entry), self._started(entry), entry.stash_rev)
        for result in self._queue.iter_failed():
            states[result.entry.name or ""] = State("failed", self._error(result.entry), commit=result.entry.stash_rev)
        return {name: state for name, state in states.items() if name in names}

    def other_names(self, names: set[str]) -> list[str]:
        """Names of the queued experiments that are not in `names`."""
        return [entry.name or entry.stash_rev[:7] for entry in self._queue.iter_queued() if entry.name not in names]

    def remove(self, stash: str) -> None:
        """Remove a failed or queued experiment, unless it has started."""
        from dvc.repo.experiments.exceptions import UnresolvedExpNamesError

        with contextlib.suppress(UnresolvedExpNamesError):
            self._queue.remove([stash])

    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        files = Path(self._queue.wdir).glob("dvc-exp-worker-*.json")
        return [process.pid for file in files if (process := _process(file, "queue-worker"))]

    def start_workers(self, count: int) -> None:
        """Start workers until `count` run; they share the cores, and go on after this process ends.

        Raises:
            MelismaError: DVC started none.
        """
        threads = str(max(1, cores() // count))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
        log = workspace.state_folder() / "queue.log"
        with log.open("wb") as file:
            result = subprocess.run(
                [sys.executable, "-m", "dvc", "queue", "start", "-j", str(count)],
                env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + WAIT_SECONDS
        while not result.returncode and not self.workers() and time.monotonic() < end:
            time.sleep(0.1)
        if not self.workers():
            raise MelismaError(f"DVC started no worker; see {log}")

    def fail_orphans(self, names: set[str]) -> None:
        """Mark the running experiments in `names` as failed. Call this only if no worker lives.

        DVC still counts them as running after somebody killed their worker, so a study would wait for ever.
        """
        entries = [entry for entry in self._queue.iter_active() if entry.name in names]
        for entry in entries:
            self._end(entry)  # DVC marks only dead experiments
        if entries:
            with contextlib.redirect_stdout(sys.stderr):
                self._queue.kill([entry.stash_rev for entry in entries], force=True)

    def _end(self, entry: "QueueEntry") -> None:
        """End the processes of an experiment, and delete its folder."""
        key = entry.stash_rev
        if process := _process(Path(self._queue.pid_dir) / key / f"{key}.json", key):
            with contextlib.suppress(psutil.NoSuchProcess):
                _terminate([process, *process.children(recursive=True)])
        if (info := self._queue.proc.get(key)) and info.returncode is None:
            info.returncode = -1  # else DVC would kill the process that has this id now
            self._queue.proc[key] = info
        if Path(self._queue.get_infofile_path(entry.stash_rev)).is_file():
            shutil.rmtree(self._queue._load_info(entry.stash_rev).root_dir, ignore_errors=True)

    def _log_file(self, entry: "QueueEntry") -> Path:
        return Path(self._queue.pid_dir) / entry.stash_rev / f"{entry.stash_rev}.out"

    def _log_lines(self, entry: "QueueEntry") -> list[str]:
        try:
            return self._log_file(entry).read_text(errors="replace").splitlines()
        except OSError:  # it has not started
            return []

    def _position(self, entry: "QueueEntry") -> str:
        """The current stage and its epoch."""
        stage = epoch = ""
        for line in self._log_lines(entry):
            if match := STAGE_LINE.match(line):
                stage, epoch = match[1], ""
            elif match := EPOCH_LINE.search(line):
                epoch = f", epoch {match[1]} of {match[2]}"
        return stage + epoch or "starting"

    def _started(self, entry: "QueueEntry") -> float | None:
        try:
            return self._log_file(entry).with_suffix(".pid").stat().st_mtime
        except OSError:
            return None

    def _error(self, entry: "QueueEntry") -> str:
        """The first error in the log. It is the stage's own; DVC's errors follow."""
        if not self._log_file(entry).exists():
            return "DVC could not start it; see .dvc/tmp/exps/celery/dvc-exp-worker-*.out"
        lines = self._log_lines(entry)
        stage = next((match[1] for line in reversed(lines) if (match := STAGE_LINE.match(line))), "")
        errors = [match[1] for line in lines if (match := ERROR_LINE.match(line))]
        reason = errors[0] if errors else "it was stopped"
        return f"{stage}: {reason}" if stage else reason


@contextmanager
def open_queue() -> Iterator[Queue]:
    """The project's queue."""
    from dvc.repo import Repo

    with Repo(str(workspace.root())) as repo:
        repo_experiments: Any = repo.experiments
        yield Queue(repo_experiments.celery_queue)


def _process(file: Path, word: str) -> psutil.Process | None:
    """The process that DVC describes in this JSON file, if it lives.

    After a restart of the machine, another process may have its id; that one lacks `word` on its command line.
    """
    try:
        info = json.loads(file.read_text())
        process = psutil.Process(int(info["pid"]))
        return process if info["returncode"] is None and word in " ".join(process.cmdline()) else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def _terminate(processes: list[psutil.Process]) -> None:
    """End processes; SIGTERM first, so that a training writes its last checkpoint."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=TERMINATE_SECONDS)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
