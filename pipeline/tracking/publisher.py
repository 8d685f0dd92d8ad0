"""The publisher: a process in the background that mirrors the runs of a project to one store.

The first stage that records starts it. It serves all stages, since the import of MLflow takes seconds, and ends some
time after the last one. If it is killed, nothing is lost: the next one compares the files with the store.
"""

import fcntl
import os
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.imports import ROOT
from pipeline.tracking import store
from pipeline.tracking.publish import Mirror
from pipeline.tracking.run_folder import RunFolder, run_folders, runs_folder

LIVE_SECONDS = 20.0  # between two looks at runs that a stage records
RETRY_SECONDS = 60.0  # after an error
IDLE_SECONDS = 30.0  # without a stage; then the publisher ends
WAIT_SECONDS, RESTART_SECONDS = 60.0, 5.0  # of a stage at its end; it replaces a publisher that was killed meanwhile
POLL_SECONDS = 0.1
WAKE_FILE = ".wake"  # in `runs_folder`; stages touch it

_ended: dict[str, RunFolder] = {}  # name -> run of this process, for which `wait` waits


def start() -> "subprocess.Popen[bytes] | None":
    """Let the publisher look at all runs now. Start one if none runs, and return it."""
    (runs_folder() / WAKE_FILE).touch()
    project, log = workspace.project(), _log_file()
    code = project if (project / "pipeline/tracking/publisher.py").is_file() else ROOT  # DVC deletes other workspaces
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    lock = os.open(log.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "pipeline.tracking.publisher"],
                cwd=project,
                env=os.environ | {"PYTHONPATH": path, "DVC_ROOT": str(project)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                pass_fds=[lock],  # the process holds the lock until it ends
            )
    except BlockingIOError:  # one runs
        return None
    finally:
        os.close(lock)


def wait_at_end(folder: RunFolder, name: str) -> None:
    """Let `wait` wait for this run."""
    _ended[name] = folder


def forget() -> None:
    """Do not wait at the end, since a signal came."""
    _ended.clear()


def wait() -> None:
    """Wait until the store has the ended runs of this process, and warn of those that it has not."""
    end = time.monotonic() + WAIT_SECONDS
    for name, folder in _ended.items():
        if reason := _wait_for(folder, end):
            print(
                f"warning: {reason}. The files of run {name} are in {folder.path}: the next stage that reaches MLflow "
                "sends them, or `melisma runs --send`",
                file=sys.stderr,
            )
    _ended.clear()


def _wait_for(folder: RunFolder, end: float) -> str | None:
    """Wait until `end`; why the store does not have all of the run, or None."""
    with suppress(OSError):  # a full disk
        while not folder.is_tried and time.monotonic() < end:
            publisher, restart = start(), time.monotonic() + RESTART_SECONDS
            while not folder.is_tried and time.monotonic() < restart:
                time.sleep(POLL_SECONDS)
            if publisher and (publisher.poll() or 0) > 0:
                return f"the process that sends runs to MLflow failed ({_log_file()} says why)"
    return folder.sent["error"] if folder.is_tried else f"MLflow at {store.store_name()} does not have the run yet"


def main() -> None:
    """Mirror runs until no stage has recorded for some time."""
    mirrors: dict[Path, Mirror] = {}
    last_busy = time.monotonic()
    with suppress(FileNotFoundError):  # somebody deleted the project
        while time.monotonic() - last_busy < IDLE_SECONDS:
            wake_time = _wake_time()
            if publish_all(mirrors) or _wake_time() != wake_time:
                last_busy = time.monotonic()
            next_look = time.monotonic() + LIVE_SECONDS
            while _wake_time() == wake_time and time.monotonic() < next_look:
                time.sleep(POLL_SECONDS)


def publish_all(mirrors: dict[Path, Mirror]) -> bool:
    """Send what has changed. `mirrors` has those of live runs, by folder. Whether a stage records."""
    is_busy = False
    closed: dict[str | None, str | None] = {}  # experiments of the store that take nothing, and why
    for folder in run_folders():
        meta = folder.meta
        if meta.get("store") != store.store_name():
            continue
        try:
            is_live, experiment = folder.is_live(), meta.get("experiment")
            is_busy |= is_live
            if is_due(folder) and experiment in closed:  # do not wait again for a store that is down
                folder.note_sent(folder.state, closed[experiment])
            elif is_due(folder):
                mirror = mirrors.setdefault(folder.path, Mirror(folder))
                error = mirror.publish()
                if mirror.is_closed:
                    closed[experiment] = error
                mirror.watch_system(is_live and not error)
            if not is_live and folder.path in mirrors:
                mirrors.pop(folder.path).watch_system(False)
        except Exception:  # a damaged or removed folder, a full disk, an error of MLflow's monitor
            traceback.print_exc()  # go on with the other runs
    return is_busy


def is_due(folder: RunFolder) -> bool:
    """Whether the run has changed since the last try, or that failed some time ago."""
    sent = folder.sent
    return not folder.is_tried or (sent["error"] is not None and time.time() - sent["time"] > RETRY_SECONDS)


def _log_file() -> Path:
    """What the publisher of the current store prints."""
    return workspace.state_folder() / f"publisher-{workspace.fingerprint(store.store_name())}.log"


def _wake_time() -> int:
    return (runs_folder() / WAKE_FILE).stat().st_mtime_ns


if __name__ == "__main__":
    main()
