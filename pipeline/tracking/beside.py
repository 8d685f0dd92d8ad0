"""MLflow in a process beside a stage: importing it takes seconds, in which the stage does its work.

The stage writes calls to a journal and says that there are some; the process makes them, in their order. It serves all
runs of its stage and ends with it.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

from pipeline.core.errors import MelismaError
from pipeline.tracking import outbox, store
from pipeline.tracking.journal import Journal

ROOT = Path(__file__).parents[2]
NAMES = ("DVC_", "MLFLOW_")  # of what the environment says of store and experiment
PATIENCE = 60.0  # seconds that a stage waits for an answer; the process goes on when the stage has ended
PAUSE = 60.0  # seconds after a failure until a store is tried again: a try may take long
AHEAD = 2  # questions that may be open: one whose calls are being made, and one for all that are written by then


class Answer(TypedDict):
    """How sending went."""

    run_id: str | None  # of the run, once it is open
    failed: str | None  # why not all could be sent
    refused: list[str]  # calls that MLflow will never take
    sent: int  # runs of earlier stages that were waiting, and have been sent


class Beside:
    """A process that sends the journals in `folder`; it starts at once."""

    def __init__(self) -> None:
        self.folder, self._held = outbox.begin()
        self.start()

    def start(self) -> None:
        """Start the process, or another one where it was killed."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.beside", self.folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[self._held],  # as long as it works, no other process may send what is in the folder
        )
        self.open, self._read = 0, b""  # questions without an answer, and the beginning of an answer

    def look(self, journal: str, last: bool = False) -> None:
        """Have everything sent that the journal holds; the `last` time also where the store failed a moment ago."""
        if self.open >= AHEAD and not last:
            return
        named = {key: value for key, value in os.environ.items() if key.startswith(NAMES)}
        question = json.dumps({"journal": journal, "last": last, "environment": named}) + "\n"
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: `alive` says so
            self._process.stdin.write(question.encode())
            self.open += 1

    def answers(self, wait: bool) -> list[Answer]:
        """Those that have come; with `wait` also those that come within some time."""
        assert self._process.stdout is not None
        found: list[Answer] = []
        until = time.monotonic() + (PATIENCE if wait else 0)
        while self.open and select.select([self._process.stdout], [], [], max(0, until - time.monotonic()))[0]:
            read = os.read(self._process.stdout.fileno(), 1 << 16)
            if not read:
                self._process.wait()
                self.open = 0
            *lines, self._read = (self._read + read).split(b"\n")
            found += [json.loads(line) for line in lines]
            self.open -= len(lines)
        return found

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None


def serve(folder: Path) -> None:
    """Answer until the stage ends, in whatever way it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the stage still has to say how its run ended
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get into the answers
    journals: dict[str, Journal] = {}
    failures: dict[str, tuple[str, float]] = {}  # of each store whose last try failed: why, and when
    for line in sys.stdin:
        if not line.endswith("\n"):  # the stage was killed
            break
        question = json.loads(line)
        _adopt(question["environment"])
        name = question["journal"]
        if name not in journals:
            journals[name] = Journal(folder / name)
        journal, sent = journals[name], 0
        failed, tried = failures.get(outbox.here(), (None, 0.0))
        if failed is None or question["last"] or time.monotonic() - tried > PAUSE:
            failed = None
            failures.pop(outbox.here(), None)
            try:
                if journal.run_id is None:  # it may go on with a run that waits itself
                    sent = outbox.send()
                journal.send(whole=question["last"])
            except Exception as error:  # any failure of a database or a server
                failed = str(error) if isinstance(error, MelismaError) else outbox.why(error)
                failures[outbox.here()] = failed, time.monotonic()
        answer: Answer = {"run_id": journal.run_id, "failed": failed, "refused": journal.refused, "sent": sent}
        journal.refused = []
        with contextlib.suppress(OSError):  # the stage was killed
            print(json.dumps(answer), file=answers, flush=True)
    left = [] if failures else sorted(folder.glob("[!.]*"))  # a stage that was killed, or what failed before
    for place in left:
        with contextlib.suppress(Exception):  # the next stage tries again
            journal = Journal(place)
            journal.send(whole=True)
            journal.close()
    with contextlib.suppress(OSError):  # not empty
        folder.rmdir()


def _adopt(environment: dict[str, str]) -> None:
    for key in [key for key in os.environ if key.startswith(NAMES) and key not in environment]:
        del os.environ[key]
    os.environ.update(environment)
    store.set_defaults()  # the client, which did so once, may have been made for an earlier question


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
