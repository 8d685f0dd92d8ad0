"""MLflow in a process beside a stage: importing it takes seconds, in which the stage does its work.

Calls are made in the order in which they are asked for. A process serves all runs of its stage and ends with it.
"""

import importlib
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
AHEAD = 200  # calls without an answer: their answers must fit into the pipe, or each process would wait for the other
MESSAGE = 200  # characters at most of why a call failed
NAMES = ("DVC_", "MLFLOW_")  # of what the environment says of store and experiment


class BesideError(Exception):
    """What was asked for failed, or the process is gone."""


class Beside:
    """The functions of `pipeline.tracking.log`, called in another process, which starts at once.

    Each call names its run by a number of the caller's choice; `open_run` opens the run of that number.
    """

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.tracking.beside"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._asked: deque[tuple[int, str]] = deque()  # run and function of each call that waits for its answer
        self.opened: dict[int, str] = {}  # number of each run that was opened: its id

    def tell(self, run: int, function: str, *arguments: Any) -> None:
        """Call it some time.

        Raises:
            BesideError: an earlier call failed.
        """
        while len(self._asked) >= AHEAD:
            self._answer()
        try:
            named = {key: value for key, value in os.environ.items() if key.startswith(NAMES)}
            pickle.dump((named, run, function, arguments), self._pipe(self._process.stdin))
            self._pipe(self._process.stdin).flush()
        except OSError as error:
            raise BesideError("its process ended") from error
        self._asked.append((run, function))

    def wait(self) -> Any:
        """Wait for every call; what the last one returned.

        Raises:
            BesideError: one failed.
        """
        found = None
        while self._asked:
            found = self._answer()
        return found

    def forget(self) -> None:
        """Take no notice of what was asked for and has not been answered."""
        while self._asked:
            try:
                self._answer()
            except BesideError:
                continue

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def _answer(self) -> Any:
        run, function = self._asked.popleft()
        try:
            found, failed = pickle.load(self._pipe(self._process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            self._asked.clear()
            raise BesideError("its process ended") from error
        if failed is not None:
            raise BesideError(failed)
        if function == "open_run":
            self.opened[run] = found
        return found

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def serve() -> None:
    """Answer calls until the stage ends, in whatever way it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the stage still has to say how its run ended
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get into the answers
    # By name: what it imports is no dependency of the stage, since it changes none of its files.
    log = importlib.import_module("pipeline.tracking.log")
    runs: dict[int, str] = {}
    failed: dict[int, str] = {}  # why nothing more is tried of a run but to end it: a try may take long and say much
    while True:
        try:
            named, run, function, arguments = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):
            return
        for key in [key for key in os.environ if key.startswith(NAMES) and key not in named]:
            del os.environ[key]
        os.environ.update(named)
        answer: tuple[Any, str | None]
        try:
            if run in failed and function != "end":
                raise BesideError(failed[run])
            if function == "open_run":
                runs[run] = found = log.open_run(*arguments)
            else:
                found = getattr(log, function)(runs[run], *arguments)
            answer = found, None
        except Exception as error:  # any failure of a database or a server
            failed[run] = " ".join(str(error).split())[:MESSAGE] or type(error).__name__
            answer = None, failed[run]
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except OSError:  # the stage was killed
            return


if __name__ == "__main__":
    serve()
