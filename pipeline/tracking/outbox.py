"""What stages have recorded and MLflow has not taken yet: .melisma/outbox/<process of a stage>/<run>/.

Every call is written here before it is made, and a run's folder vanishes when MLflow has it all. So nothing is lost
when a store is down, or when a stage or the process beside it is killed: what is left is sent by the next stage.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from filelock import FileLock

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.tracking import log, store
from pipeline.tracking.journal import Journal, answers, reason

HELD = ".held"  # a file in a stage's folder, locked while that is in use: NFS locks no folders
PATIENCE = 60.0  # seconds, with what a killed stage has left


@dataclass(frozen=True)
class Waiting:
    """A run of a stage that has ended, of which MLflow has not got everything."""

    folder: Path
    name: str  # <variant>-seed<n>
    stage: str
    store: str  # where it belongs, without a password


def begin() -> tuple[Path, int]:
    """A folder for the runs of this process, and a file descriptor.

    The stage counts as alive for as long as a process has that descriptor open, however it ends.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{os.getpid()}"  # the order in which they are sent
    hidden = _place() / f".{name}"  # until it is locked, lest another process takes it for one that was left
    hidden.mkdir(parents=True)
    held = os.open(hidden / HELD, os.O_CREAT | os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    return hidden.rename(_place() / name), held


def waiting() -> list[Waiting]:
    """What `send` would send, and what waits for another store, oldest first."""
    return [
        Waiting(folder, about["run"], about["stage"], about["store"])
        for process in _ended()
        for folder in _runs(process)
        for about in [Journal(folder).about]
    ]


def send() -> int:
    """Send what ended stages left for the store that is named now, oldest first; the number of their runs.

    The run of a stage that was killed ends as KILLED.

    Raises:
        MelismaError: the store fails. What could not be sent stays.
    """
    if not _place().exists():
        return 0
    sent = 0
    _let_finish()
    with FileLock(workspace.state() / "outbox.lock"):
        for process in _ended():
            for folder in _runs(process):
                try:
                    journal = Journal(folder)
                    if journal.about["store"] != here():
                        continue
                    journal.send(whole=True)
                    journal.close()
                except Exception as error:  # any failure of a database, a server or a disk
                    _go_on_after(error, folder)
                else:
                    sent += 1
                    for refused in journal.refused:
                        print(f"warning: {refused}", file=sys.stderr)
            if not _runs(process):
                shutil.rmtree(process, ignore_errors=True)
    return sent


def abandoned() -> list[str]:
    """Ids of runs that count as RUNNING although the stage that wrote to them has ended.

    In this project's own database, they are the ones to which no stage writes; a server has runs of other people too,
    and there they are those that stages of this project left.
    """
    ours = {folder: Journal(folder).run_id for folder in _place().glob("[!.]*/*")}
    left = {ours.get(waits.folder) for waits in waiting()}
    query = "attributes.status = 'RUNNING' and tags.fingerprint LIKE '%'"
    places = [experiment.experiment_id for experiment in log.client().search_experiments()]
    running = [str(run.info.run_id) for run in log.client().search_runs(places, query)]
    alone = store.tracking_uri().startswith("sqlite:")
    return [run for run in running if run in left or (alone and run not in ours.values())]


def here() -> str:
    """The store that is named now, without its password, which is not to be written down."""
    return store.without_password(store.tracking_uri())


def _go_on_after(error: Exception, folder: Path) -> None:
    """Raise where the store is what fails; else one run must not keep others from being sent."""
    if not answers():
        raise MelismaError(why(error)) from error
    print(f"warning: {why(error)}; it stays in {folder}", file=sys.stderr)


def why(error: Exception) -> str:
    """What is said of a call that failed."""
    return f"MLflow at {here()} failed ({store.without_password(reason(error))})"


def _place() -> Path:
    return workspace.state() / "outbox"


def _runs(process: Path) -> list[Path]:
    return sorted(process.glob("[!.]*"))


def _let_finish() -> None:
    """Wait for what still sends for a stage that was killed: till then it is not known what the stage's run holds."""
    until = time.monotonic() + PATIENCE
    while busy := [folder for folder in _place().glob("[!.]*") if _held(folder) and _killed(folder)]:
        if time.monotonic() > until:
            print(
                f"warning: another process still sends what is in {busy[0]}; try again when it is done", file=sys.stderr
            )
            return
        time.sleep(0.1)


def _ended() -> Iterator[Path]:
    """Folders of stages that no process works for any more, oldest first."""
    yield from (folder for folder in sorted(_place().glob("[!.]*")) if not _held(folder))


def _held(folder: Path) -> bool:
    """Whether a stage, or the process beside it, has this folder."""
    try:
        seen = os.open(folder / HELD, os.O_RDWR)
    except OSError:  # it has just gone; nothing is found in it either
        return False
    try:
        fcntl.flock(seen, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(seen)
    return False


def _killed(folder: Path) -> bool:
    """Whether the stage that this folder is of is no more."""
    try:
        return bool(psutil.Process(int(folder.name.rpartition("-")[2])).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
