"""DVC's experiments, their files and their queue. No other module uses what is internal to DVC.

`dvc exp run --queue -S` cannot queue a study: it writes the params into params.yaml, stashes all changes and restores
them. If it is killed meanwhile, the user's edits stay in a stash. So `add` builds the same commit beside the working
tree. `dvc queue status` takes seconds and names neither stage nor error, so `states` reads the same entries and the
logs. tests/studies/test_queue.py compares all of this with DVC's commands.
"""

import contextlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.git import git
from pipeline.core.params import PARAMS_FILE
from pipeline.core.process import cores
from pipeline.repro.build import EPOCH_LINE, ERROR_LINE
from pipeline.studies import commit
from pipeline.studies.study import Experiment, apply_changes, load_study

if TYPE_CHECKING:
    from dvc.fs import DVCFileSystem
    from dvc.repo.experiments.queue.base import QueueEntry
    from dvc.repo.experiments.queue.celery import LocalCeleryQueue

REFS = "refs/exps"  # refs/exps/<first two digits>/<other digits of the baseline>/<name of the experiment>
ARGUMENTS_FILE = ".dvc/tmp/repro.dat"  # the arguments of `dvc exp run`
TERMINATE_SECONDS = 10.0  # from SIGTERM to SIGKILL for an experiment
WAIT_SECONDS = 60.0  # waiting time for a worker to start, or for DVC's lock
STOPPED = "it was stopped"
STAGE_LINE = re.compile(r"^Running stage '([^']+)'")


@dataclass(frozen=True)
class State:
    """The state of an experiment."""

    status: str  # queued, running, done, failed, lost (ended without the expected result), or "" (never run)
    detail: str = ""  # stage and epoch, or the error
    started: float | None = None  # seconds since 1970
    commit: str = ""  # the commit that it runs from, if it is in the queue


def result_commits(name: str) -> list[str]:
    """The commits of the results of an experiment (full name), renamed ones too; newest first."""
    patterns = [f"{REFS}/*/*/{name}", f"{REFS}/*/*/{name}-???????"]
    return git("for-each-ref", "--sort=-committerdate", "--format=%(objectname)", *patterns).split()


def rename_result(name: str) -> str | None:
    """Rename the result with this name on HEAD, so that the name is free; return the new name, None without one."""
    head = git("rev-parse", "HEAD")
    ref = f"{REFS}/{head[:2]}/{head[2:]}/{name}"
    result = git("for-each-ref", ref, "--format=%(objectname)")
    if not result:
        return None
    git("update-ref", f"{ref}-{result[:7]}", result)
    git("update-ref", "-d", ref, result)
    return f"{name}-{result[:7]}"


@contextmanager
def files_at(revision: str) -> Iterator["DVCFileSystem"]:
    """The project's files at a commit, from Git and DVC's cache; "/" is the project's folder.

    dvc.api would read from the top of the Git repository, but the project may be a folder in it.
    """
    from dvc.repo import Repo

    with Repo(str(workspace.root())) as repo, repo.switch(revision):
        yield repo.dvcfs


def create_stash(experiment: Experiment, base: str) -> str:
    """The commit that `dvc exp run --queue` makes: `base`, from `commit.snapshot`, with the experiment's params."""
    from dvc.repo.experiments.stash import ExpStash
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    head, name = git("rev-parse", "HEAD"), experiment.full_name
    run_env = {"DVC_EXP_BASELINE_REV": head, "DVC_EXP_NAME": name, "DVC_ROOT": str(workspace.root())}
    arguments: dict[str, Any] = {"args": (), "kwargs": {"targets": list(experiment.targets), "run_env": run_env}}
    raw = parse_yaml_for_update(experiment.base.read_text(encoding="utf-8"), experiment.base)  # with its comments
    raw = apply_changes(load_study(experiment.study), experiment.settings, raw)
    raw = raw if raw == experiment.raw else experiment.raw  # the files have changed since the search began
    files = {str(PARAMS_FILE): str(dumps_yaml(raw)).encode(), ARGUMENTS_FILE: pickle.dumps(arguments)}
    if (lock := Path("dvc.lock")).is_file():  # shows DVC which stages are up to date, even if Git does not track it
        files[str(lock)] = lock.read_bytes()
    return commit.create(base, head, files, ExpStash.format_message(head, head, name))


def add(experiment: Experiment, base: str) -> None:
    """Queue an experiment on the commit `base` of `commit.snapshot`; MelismaError if DVC could not run it."""
    from dvc.repo.experiments.queue.base import QueueEntry
    from dvc.repo.experiments.queue.tasks import run_exp

    cache = str(_queue().repo.cache.local.path)
    if not cache.isascii():  # DVC writes this path, as ASCII, to a file of each experiment
        raise MelismaError(f"{cache}: DVC queues no experiments if this path is not ASCII; move the project")
    stash, head = create_stash(experiment, base), git("rev-parse", "HEAD")
    _push(stash)
    folders = str(workspace.root()), git("rev-parse", "--show-toplevel")
    entry = QueueEntry(*folders, _queue().ref, stash, head, None, experiment.full_name, head)
    _queue().celery.signature(run_exp.s(entry.asdict(), copy_paths=None, message=None)).delay()


def _push(stash: str) -> None:
    """Add a commit to DVC's list of stashes, under DVC's lock, since a worker may change the list."""
    from dvc.lock import LockError
    from dvc.repo.experiments.utils import get_exp_rwlock

    message = f"commit: {git('log', '-1', '--format=%s', stash)}"
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with get_exp_rwlock(_queue().repo, writes=[_queue().ref]):
                git("update-ref", "--create-reflog", "-m", message, _queue().ref, stash)
            return
        except LockError as error:
            if time.monotonic() > end:
                raise MelismaError(f"DVC's queue is locked: {error}") from error
            time.sleep(0.2)


def states() -> dict[str, State]:
    """Full name (or commit, if it has none) -> state of the experiments that are queued, run or failed."""
    # Read in the order of the states, so that no experiment is missed when its state changes.
    entries = [(entry, State("queued", commit=entry.stash_rev)) for entry in _queue().iter_queued()]
    for entry in _queue().iter_active():
        pid_file, position = _run_file(entry, ".pid"), _read_log(entry)[0] or "starting"
        started = pid_file.stat().st_mtime if pid_file.exists() else None
        entries.append((entry, State("running", position, started, entry.stash_rev)))
    for entry, _ in _queue().iter_failed():
        entries.append((entry, State("failed", _read_log(entry)[1], commit=entry.stash_rev)))
    return {entry.name or entry.stash_rev[:7]: state for entry, state in entries}


def remove(stash: str) -> None:
    """Remove a failed or queued experiment, unless it has started."""
    from dvc.repo.experiments.exceptions import UnresolvedExpNamesError

    with contextlib.suppress(UnresolvedExpNamesError):
        _queue().remove([stash])


def stop(name: str) -> None:
    """End a running experiment, which DVC then counts as failed; its training saves a checkpoint."""
    for entry in _queue().iter_active():
        if entry.name == name and (process := _process(_run_file(entry, ".json"), entry.stash_rev)):
            _end(process)


def workers() -> list[int]:
    """Process ids of the living workers."""
    files = Path(_queue().wdir).glob("dvc-exp-worker-*.json")
    return [process.pid for file in files if (process := _process(file, "queue-worker"))]


def start_workers(count: int) -> None:
    """Start workers until `count` run, or MelismaError; they share the cores and outlive this process."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"MELISMA_CORES": str(max(1, cores() // count)), "PATH": path}
    command = [sys.executable, "-m", "dvc", "queue", "start", "-j", str(count)]
    log = workspace.state_folder() / "queue.log"
    with log.open("wb") as file:
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    end = time.monotonic() + WAIT_SECONDS
    while not result.returncode and not workers() and time.monotonic() < end:
        time.sleep(0.1)
    if not workers():
        raise MelismaError(f"DVC started no worker; see {log}")


def fail_orphans(names: set[str]) -> None:
    """Mark the running experiments in `names` as failed. Call this only if no worker lives.

    DVC still counts them as running after somebody killed their worker, so a study would wait for ever.
    """
    for task, entry in list(_queue()._iter_active_tasks()):
        if entry.name in names:
            if process := _process(_run_file(entry, ".json"), entry.stash_rev):
                _end(process)
            with contextlib.suppress(FileNotFoundError):  # it has not started
                shutil.rmtree(_queue()._load_info(entry.stash_rev).root_dir)
            _queue().celery.backend.mark_as_failure(task.id, None)


def _run_file(entry: "QueueEntry", suffix: str) -> Path:
    """A file of the process of an experiment: its output (.out), its id (.pid), or its description (.json)."""
    return Path(_queue().pid_dir, entry.stash_rev, entry.stash_rev + suffix)


def _read_log(entry: "QueueEntry") -> tuple[str, str]:
    """The current stage with its epoch, and the stage with its error, from the output of an experiment."""
    log = _run_file(entry, ".out")
    if not log.exists():
        return "", "DVC could not start it; see .dvc/tmp/exps/celery/dvc-exp-worker-*.out"
    stage = epoch = error = ""
    for line in log.read_text(errors="replace").splitlines():
        if match := STAGE_LINE.match(line):
            stage, epoch = match[1], ""
        elif match := EPOCH_LINE.search(line):
            epoch = f", epoch {match[1]} of {match[2]}"
        elif match := ERROR_LINE.match(line):
            error = error or match[1]  # the first is the stage's own; DVC's errors follow
    return stage + epoch, ": ".join(filter(None, [stage, error or STOPPED]))


@cache
def _queue() -> "LocalCeleryQueue":
    from dvc.repo import Repo

    experiments: Any = Repo(str(workspace.root())).experiments
    queue: LocalCeleryQueue = experiments.celery_queue
    return queue


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


def _end(process: psutil.Process) -> None:
    """End a process and its children; SIGTERM first, so that a training writes its last checkpoint."""
    with contextlib.suppress(psutil.NoSuchProcess):
        living = [process, *process.children(recursive=True)]
        for signal in ("terminate", "kill"):
            for one in living:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(one, signal)()
            living = psutil.wait_procs(living, timeout=TERMINATE_SECONDS)[1]
