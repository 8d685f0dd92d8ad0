"""DVC's queue of experiments: what stands in it, what has become of it, and the workers that run it."""

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
from pipeline.core.process import cores
from pipeline.studies import commit
from pipeline.studies.study import Experiment

if TYPE_CHECKING:
    from dvc.repo.experiments.queue.base import QueueEntry
    from dvc.repo.experiments.queue.celery import LocalCeleryQueue

GRACE = 10.0  # seconds in which an experiment may end by itself
PATIENCE = 60.0  # seconds in which a worker must have begun, or the queue be free
STAGE = re.compile(r"^Running stage '([^']+)'")
EPOCH = re.compile(r"epoch (\d+) of (\d+)")
ERROR = re.compile(r"^(?:error|ERROR): (.+)")


@dataclass(frozen=True)
class State:
    """What becomes of an experiment: queued, running, done, failed, or lost (it ended without the result asked for)."""

    status: str
    detail: str = ""  # stage and epoch, or the error
    begun: float | None = None  # when it began to run, seconds since 1970
    revision: str = ""  # the commit that it is run from, of what is in the queue


class Queue:
    """The queue of this project."""

    def __init__(self, queue: "LocalCeleryQueue") -> None:
        self._queue = queue

    def put(self, experiment: Experiment, changed: str) -> None:
        """Queue an experiment; `changed` is from `commit.base`.

        Raises:
            MelismaError: DVC could not run it.
        """
        from dvc.repo.experiments.queue.base import QueueEntry
        from dvc.repo.experiments.queue.tasks import run_exp

        cache = str(self._queue.repo.cache.local.path)
        if not cache.isascii():  # DVC writes it into a file for each experiment, as ASCII
            raise MelismaError(f"{cache}: DVC queues no experiments where this path is not ASCII; move the project")
        head = commit.git("rev-parse", "HEAD")
        message = self._queue.stash.format_message(head, head, experiment.full)
        revision = commit.stash(experiment, changed, head, message)
        self._push(revision, f"commit: {message}")
        places = str(workspace.root()), commit.git("rev-parse", "--show-toplevel")
        entry = QueueEntry(*places, self._queue.ref, revision, head, None, experiment.full, head)
        self._queue.celery.signature(run_exp.s(entry.asdict(), copy_paths=None, message=None)).delay()

    def _push(self, revision: str, message: str) -> None:
        """Put a commit on DVC's list of stashes, which a worker may be changing."""
        from dvc.lock import LockError
        from dvc.repo.experiments.utils import get_exp_rwlock

        until = time.monotonic() + PATIENCE
        while True:
            try:
                with get_exp_rwlock(self._queue.repo, writes=[self._queue.ref]):
                    commit.git("update-ref", "--create-reflog", "-m", message, self._queue.ref, revision)
                return
            except LockError as error:
                if time.monotonic() > until:
                    raise MelismaError(f"DVC's queue is locked: {error}") from error
                time.sleep(0.2)

    def states(self, names: set[str]) -> dict[str, State]:
        """Of those of these experiments that are in the queue, or failed."""
        found: dict[str, State] = {}
        # In the order in which one moves on, so that none is missed that does so at this moment.
        for entry in self._queue.iter_queued():
            found[entry.name or ""] = State("queued", revision=entry.stash_rev)
        for entry in self._queue.iter_active():
            found[entry.name or ""] = State("running", self._where(entry), self._begun(entry), entry.stash_rev)
        for done in self._queue.iter_failed():
            found[done.entry.name or ""] = State("failed", self._error(done.entry), revision=done.entry.stash_rev)
        return {name: state for name, state in found.items() if name in names}

    def others(self, names: set[str]) -> list[str]:
        """What else is queued, by its name."""
        return [entry.name or entry.stash_rev[:7] for entry in self._queue.iter_queued() if entry.name not in names]

    def forget(self, revision: str) -> None:
        """Take a failed or queued experiment out of the queue, unless it has begun."""
        from dvc.repo.experiments.exceptions import UnresolvedExpNamesError

        with contextlib.suppress(UnresolvedExpNamesError):
            self._queue.remove([revision])

    def workers(self) -> list[int]:
        """Numbers of the processes that run experiments of this queue."""
        found = []
        for file in Path(self._queue.wdir).glob("dvc-exp-worker-*.json"):
            if process := _process(file, "queue-worker"):
                found.append(process.pid)
        return found

    def start(self, jobs: int) -> None:
        """Start workers until there are so many, each with its share of the cores; they go on when this process ends.

        Raises:
            MelismaError: DVC could not.
        """
        threads = str(max(1, cores() // jobs))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
        log = workspace.state() / "queue.log"
        with log.open("wb") as file:
            done = subprocess.run(
                [sys.executable, "-m", "dvc", "queue", "start", "-j", str(jobs)],
                env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while not done.returncode and not self.workers() and time.monotonic() < until:
            time.sleep(0.1)
        if not self.workers():
            raise MelismaError(f"DVC started no worker; {log} says why")

    def bury(self, names: set[str]) -> None:
        """Mark those of these experiments as failed that run for no worker, since that was killed.

        Else they would be waited for for ever.
        """
        entries = [entry for entry in self._queue.iter_active() if entry.name in names]
        for entry in entries:
            self._end(entry)  # DVC marks the dead alone
        if entries:
            with contextlib.redirect_stdout(sys.stderr):
                self._queue.kill([entry.stash_rev for entry in entries], force=True)

    def _end(self, entry: "QueueEntry") -> None:
        """End what still lives of an experiment, and delete its folder."""
        key = entry.stash_rev
        if process := _process(Path(self._queue.pid_dir) / key / f"{key}.json", key):
            with contextlib.suppress(psutil.NoSuchProcess):
                _stop([process, *process.children(recursive=True)])
        if (info := self._queue.proc.get(key)) and info.returncode is None:
            info.returncode = -1  # else DVC would kill whoever has its number now
            self._queue.proc[key] = info
        if Path(self._queue.get_infofile_path(entry.stash_rev)).is_file():
            shutil.rmtree(self._queue._load_info(entry.stash_rev).root_dir, ignore_errors=True)

    def _log(self, entry: "QueueEntry") -> Path:
        return Path(self._queue.pid_dir) / entry.stash_rev / f"{entry.stash_rev}.out"

    def _lines(self, entry: "QueueEntry") -> list[str]:
        try:
            return self._log(entry).read_text(errors="replace").splitlines()
        except OSError:  # it has not begun
            return []

    def _where(self, entry: "QueueEntry") -> str:
        """The stage that runs, and its epoch."""
        stage = epoch = ""
        for line in self._lines(entry):
            if match := STAGE.match(line):
                stage, epoch = match[1], ""
            elif match := EPOCH.search(line):
                epoch = f", epoch {match[1]} of {match[2]}"
        return stage + epoch or "starting"

    def _begun(self, entry: "QueueEntry") -> float | None:
        try:
            return self._log(entry).with_suffix(".pid").stat().st_mtime
        except OSError:
            return None

    def _error(self, entry: "QueueEntry") -> str:
        """The first error of its log, which is the stage's own; what DVC adds comes later."""
        if not self._log(entry).exists():
            return "DVC could not begin it; .dvc/tmp/exps/celery/dvc-exp-worker-*.out says why"
        lines = self._lines(entry)
        stage = next((match[1] for line in reversed(lines) if (match := STAGE.match(line))), "")
        errors = [match[1] for line in lines if (match := ERROR.match(line))]
        reason = errors[0] if errors else "it was stopped"
        return f"{stage}: {reason}" if stage else reason


@contextmanager
def opened() -> Iterator[Queue]:
    """The project's queue."""
    from dvc.repo import Repo

    with Repo(str(workspace.root())) as repo:
        repo_experiments: Any = repo.experiments
        yield Queue(repo_experiments.celery_queue)


def _process(file: Path, word: str) -> psutil.Process | None:
    """The process of DVC that this file of DVC tells of, if it lives.

    After a restart of the machine another process may have its number: one without this word on its command line.
    """
    try:
        info = json.loads(file.read_text())
        process = psutil.Process(int(info["pid"]))
        return process if info["returncode"] is None and word in " ".join(process.cmdline()) else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def _stop(processes: list[psutil.Process]) -> None:
    """End processes, in such a way that a training keeps its last checkpoint."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=GRACE)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
