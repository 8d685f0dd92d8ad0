"""The sender: a process beside the stage that sends journals to MLflow, whose import takes seconds.

The stage writes calls to a journal and asks the sender to send them. One sender serves all runs of a stage and ends
with it. Requests and replies are lines of JSON on its standard input and output.
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
ENVIRONMENT_PREFIXES = ("DVC_", "MLFLOW_")  # variables that select the store and the experiment
REPLY_SECONDS = 60.0  # a stage's waiting time for a reply; the sender continues after the stage has ended
RETRY_SECONDS = 60.0  # after a failure: a further try of a store that is down may take long
MAX_PENDING = 2  # requests without a reply: one in progress, one for all calls added meanwhile


class Reply(TypedDict):
    """The result of a request."""

    run_id: str | None  # None until the run is open
    error: str | None  # why some calls are not sent
    refused: list[str]  # messages about calls that MLflow will never accept
    earlier_runs: int  # pending runs of earlier stages, now sent


class Sender:
    """Starts the process, which sends the journals in `folder`."""

    def __init__(self) -> None:
        self.folder, self._lock = outbox.create_folder()
        self.start()

    def start(self) -> None:
        """Start the process, also again after somebody killed it."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.sender", self.folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[self._lock],  # keeps other processes from sending this folder as long as the sender lives
        )
        self.pending, self._buffer = 0, b""  # number of requests without a reply; first bytes of a reply

    def request_send(self, journal: str, last: bool = False) -> None:
        """Ask to send all calls in a journal. The `last` request tries a store even right after a failure."""
        if self.pending >= MAX_PENDING and not last:
            return
        environment = {key: value for key, value in os.environ.items() if key.startswith(ENVIRONMENT_PREFIXES)}
        request = json.dumps({"journal": journal, "last": last, "environment": environment}) + "\n"
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has ended; `is_alive` tells the caller
            self._process.stdin.write(request.encode())
            self.pending += 1

    def read_replies(self, wait: bool) -> list[Reply]:
        """The replies so far; with `wait`, all pending replies that come within REPLY_SECONDS."""
        assert self._process.stdout is not None
        replies: list[Reply] = []
        end = time.monotonic() + (REPLY_SECONDS if wait else 0)
        while self.pending and select.select([self._process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                self._process.wait()
                self.pending = 0
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            replies += [json.loads(line) for line in lines]
            self.pending -= len(lines)
        return replies

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None


def serve(folder: Path) -> None:
    """Handle requests until the stage ends, then send its remaining calls. This is the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the stage still ends its run
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keep the output of libraries out of the replies
    journals: dict[str, Journal] = {}
    failures: dict[str, tuple[str, float]] = {}  # store -> message and time of the last try, if that failed
    for line in sys.stdin:
        if not line.endswith("\n"):  # the stage was killed
            break
        request = json.loads(line)
        _set_environment(request["environment"])
        name = request["journal"]
        if name not in journals:
            journals[name] = Journal(folder / name)
        journal, earlier_runs = journals[name], 0
        error, failed_at = failures.get(outbox.store_name(), (None, 0.0))
        if error is None or request["last"] or time.monotonic() - failed_at > RETRY_SECONDS:
            error = None
            failures.pop(outbox.store_name(), None)
            try:
                if journal.run_id is None:  # this run may continue a run that is still pending
                    earlier_runs = outbox.send_pending()
                journal.send(is_complete=request["last"])
            except Exception as exception:  # a database or a server fails in many ways
                error = str(exception) if isinstance(exception, MelismaError) else outbox.failure_message(exception)
                failures[outbox.store_name()] = error, time.monotonic()
        reply: Reply = {
            "run_id": journal.run_id,
            "error": error,
            "refused": journal.refused,
            "earlier_runs": earlier_runs,
        }
        journal.refused = []
        with contextlib.suppress(OSError):  # the stage was killed
            print(json.dumps(reply), file=replies, flush=True)
    unsent = [] if failures else sorted(folder.glob("[!.]*"))  # the stage was killed, or a call failed earlier
    for path in unsent:
        with contextlib.suppress(Exception):  # the next stage tries again
            journal = Journal(path)
            journal.send(is_complete=True)
            journal.close()
    with contextlib.suppress(OSError):  # not empty
        folder.rmdir()


def _set_environment(environment: dict[str, str]) -> None:
    for key in [key for key in os.environ if key.startswith(ENVIRONMENT_PREFIXES) and key not in environment]:
        del os.environ[key]
    os.environ.update(environment)
    store.set_defaults()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
