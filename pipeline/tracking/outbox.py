"""The outbox, .melisma/outbox/<stage process>/<run>/: journals of calls that MLflow has not yet accepted.

Every call is written here before it is made, and a run's folder is removed once MLflow has all of it. So nothing is
lost if the store is down or a process is killed: the next stage sends the rest.
"""

import fcntl
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil  # type: ignore[import-untyped]
from filelock import FileLock

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.tracking import store
from pipeline.tracking.journal import Journal, error_reason, store_works

LOCK_FILE = ".held"  # file in a stage's folder, since NFS cannot lock folders
SENDER_SECONDS = 60.0  # waiting time for the sender of a killed stage
READ_ATTEMPTS, READ_PAUSE = 20, 0.05  # pause in seconds

Result = TypeVar("Result")


def create_folder() -> tuple[Path, int]:
    """A folder for the runs of this process, and the file descriptor of its lock.

    The stage counts as alive while any process has this descriptor open.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}"  # sorts in the order of sending
    hidden = _outbox() / f".{name}"  # until it is locked, else another process could take it for a dead stage's
    hidden.mkdir(parents=True)
    lock = os.open(hidden / LOCK_FILE, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return hidden.rename(_outbox() / name), lock


def pending_runs() -> dict[Path, str]:
    """Folder -> store of the runs of ended stages with calls that MLflow has not accepted, oldest first."""
    folders = [folder for process in _ended_stages() for folder in _run_folders(process)]
    return {folder: Journal(folder).info["store"] for folder in folders}


def count_pending() -> tuple[int, list[str]]:
    """The number of pending runs for the current store, and a line about each other store that has some."""
    stores = Counter(read_stable(pending_runs).values())
    current = stores.pop(store_name(), 0)
    return current, [f"{n} run{'s' * (n > 1)} pending for MLflow at {name}" for name, n in sorted(stores.items())]


def send_pending() -> int:
    """Send the remaining calls of ended stages to the current store, oldest first; return the number of runs.

    The run of a killed stage ends as KILLED.

    Raises:
        MelismaError: the store fails. Calls that are not sent stay in the outbox.
    """
    sent = 0
    _wait_for_senders()
    with FileLock(workspace.state_folder() / "outbox.lock"):
        for process in _ended_stages():
            for folder in _run_folders(process):
                try:
                    journal = Journal(folder)
                    if journal.info["store"] != store_name():
                        continue
                    journal.send(is_complete=True)
                    journal.close()
                except Exception as error:  # a database, a server or a disk fails in many ways
                    message = failure_message(error)
                    if not store_works():
                        raise MelismaError(message) from error
                    print(f"warning: {message}; the calls stay in {folder}", file=sys.stderr)  # send the other runs
                else:
                    sent += 1
                    for refused in journal.refused:
                        print(f"warning: {refused}", file=sys.stderr)
            if not _run_folders(process):
                shutil.rmtree(process, ignore_errors=True)
    return sent


def abandoned_runs() -> list[str]:
    """Ids of runs with status RUNNING whose stage has ended.

    In the project's own database these are all runs that no stage writes to. A server also has other people's runs, so
    there only the runs in this outbox count.
    """
    journal_runs = {folder: Journal(folder).run_id for folder in _outbox().glob("[!.]*/*")}
    pending = {journal_runs.get(folder) for folder in pending_runs()}
    query = "attributes.status = 'RUNNING' and tags.fingerprint LIKE '%'"
    experiment_ids = [experiment.experiment_id for experiment in store.client().search_experiments()]
    running = [str(run.info.run_id) for run in store.client().search_runs(experiment_ids, query)]
    is_own_store = store.tracking_uri().startswith("sqlite:")
    return [run for run in running if run in pending or (is_own_store and run not in journal_runs.values())]


def read_stable(read: Callable[[], Result]) -> Result:
    """The result of `read`, which reads the outbox: try again if another process removes a folder meanwhile.

    Raises:
        MelismaError: a file stays missing.
    """
    for _ in range(READ_ATTEMPTS):
        try:
            return read()
        except FileNotFoundError as error:
            missing = error.filename
            time.sleep(READ_PAUSE)
    raise MelismaError(f"{missing} is missing; remove its folder, since MLflow cannot get the rest of it")


def store_name() -> str:
    """The address of the current store without its password, which must not be written to a file."""
    return store.without_password(store.tracking_uri())


def failure_message(error: Exception) -> str:
    """One line about a failed call."""
    return f"MLflow at {store_name()} failed ({store.without_password(error_reason(error))})"


def _outbox() -> Path:
    return workspace.state_folder() / "outbox"


def _run_folders(process: Path) -> list[Path]:
    return sorted(process.glob("[!.]*"))


def _wait_for_senders() -> None:
    """Wait for the senders of killed stages: only then do their runs hold all calls."""
    end = time.monotonic() + SENDER_SECONDS
    while busy := [folder for folder in _outbox().glob("[!.]*") if _is_locked(folder) and _is_stage_dead(folder)]:
        if time.monotonic() > end:
            print(f"warning: another process still sends {busy[0]}; try again when it has ended", file=sys.stderr)
            return
        time.sleep(0.1)


def _ended_stages() -> list[Path]:
    """Folders of stages without a living process, oldest first."""
    return [folder for folder in sorted(_outbox().glob("[!.]*")) if not _is_locked(folder)]


def _is_locked(folder: Path) -> bool:
    """Whether a stage or its sender uses this folder."""
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR)
    except OSError:  # the folder was removed just now
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_stage_dead(folder: Path) -> bool:
    try:
        return bool(psutil.Process(int(folder.name.rpartition("-")[2])).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
