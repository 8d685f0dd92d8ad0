"""Start the ranks of one training on this host. They end together and with one error."""

import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from traceback import format_exc

from pipeline.core.errors import MelismaError, TrainingError
from pipeline.core.process import DeferredSignals, exit_with_parent

NOTICE_SECONDS = 1.0  # time for the other ranks to notice a failure
TERMINATE_SECONDS = 5.0  # after SIGTERM, before SIGKILL
SAVE_SECONDS = 60.0  # time to save and end after Ctrl-C or SIGTERM
POLL_SECONDS = 0.1


@dataclass
class Rank:
    """One of the processes and its state."""

    process: SpawnProcess
    pipe: Connection
    handles_signals: bool = False  # it has imported its modules
    is_stopped: bool = False  # the parent has sent it a signal
    failed_at: float | None = None  # seconds of a clock that all ranks share
    error: Exception | None = None

    def receive(self) -> None:
        """Take its messages: None at the start, (time, error) after a failure."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                message = self.pipe.recv()
                self.handles_signals = True
                if message is not None:
                    self.failed_at, self.error = message
        except EOFError:
            self.pipe.close()

    def send_signal(self, number: int) -> None:
        """Send a signal; SIGTERM if it is still importing."""
        if self.process.is_alive() and self.process.pid is not None:
            self.is_stopped = True
            os.kill(self.process.pid, number if self.handles_signals else signal.SIGTERM)


def launch(main: Callable[..., None], arguments: Sequence[str], devices: int) -> None:
    """Run main(*arguments) in `devices` processes, with torchrun's environment variables, and wait for them.

    Ctrl-C and SIGTERM are passed on to all ranks, which have a minute to save and end; a second signal kills them. If a
    rank fails, the others end within seconds. No rank outlives this process. Each rank imports the module of `main`.

    Raises:
        MelismaError, OSError: the error of the rank that failed first, or a message how it ended.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM (code 143), unless a rank raised an error.
    """
    import torch.distributed as dist  # torch takes seconds to import, and ranks import this file

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    variables = {
        "WORLD_SIZE": devices,
        "LOCAL_WORLD_SIZE": devices,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": store.port,
        "TORCHELASTIC_USE_AGENT_STORE": True,  # ranks meet at the store above and open none
    }
    with DeferredSignals() as signals:
        ranks: list[Rank] = []
        try:
            for number in range(devices):
                all_variables = {**variables, "RANK": number, "LOCAL_RANK": number}
                environment = {key: str(value) for key, value in all_variables.items()}
                ranks.append(_start(main, arguments, environment))
            _wait(ranks, signals)
        finally:
            for rank in ranks:
                rank.process.kill()
                rank.process.join()
    if not signals.received:
        _raise_first_error(ranks)
        return
    for rank in ranks:
        if isinstance(rank.error, MelismaError | OSError):
            raise rank.error
    if signals.received == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(143)


def _start(main: Callable[..., None], arguments: Sequence[str], environment: dict[str, str]) -> Rank:
    context = multiprocessing.get_context("spawn")
    pipe, child_end = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(os.getpid(), child_end, environment, main, arguments))
    resource_tracker.ensure_running()  # else `process.start` starts it, and unblocks the signal that is blocked here
    # The process inherits the block: without it, Ctrl-C during its imports would print a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    child_end.close()
    return Rank(process, pipe)


def _run(
    parent: int, pipe: Connection, environment: dict[str, str], main: Callable[..., None], arguments: Sequence[str]
) -> None:
    """Run `main` in a rank. Send an error to the parent before this process ends."""
    exit_with_parent(parent)
    os.setpgrp()  # a terminal sends Ctrl-C to the whole group: now only the parent passes it on
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops a pending one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(environment)
    try:
        pipe.send(None)  # from now on a signal may come
        main(*arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("MELISMA_DEBUG"):
            print(f"rank {environment['RANK']}:\n{format_exc()}", file=sys.stderr, flush=True)
        pipe.send((time.monotonic(), _picklable(error)))
        sys.exit(1)


def _picklable(error: Exception) -> Exception:
    """The error itself if it is for the user and can be pickled; else a RuntimeError with its text."""
    if isinstance(error, MelismaError | OSError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def _wait(ranks: list[Rank], signals: DeferredSignals) -> None:
    """Wait until all ranks have ended; after a signal or a failure only for a limited time."""
    is_stopping = False
    deadline, is_final = float("inf"), False
    while any(rank.process.is_alive() for rank in ranks):
        pipes = [rank.pipe for rank in ranks if not rank.pipe.closed]
        connection.wait([*pipes, *(r.process.sentinel for r in ranks if r.process.is_alive())], POLL_SECONDS)
        for rank in ranks:
            rank.receive()
        if signals.received and not is_stopping:
            is_stopping, deadline, is_final = True, time.monotonic() + SAVE_SECONDS, True
            for rank in ranks:
                rank.send_signal(signals.received)
        elif deadline == float("inf") and any(rank.failed_at or rank.process.exitcode for rank in ranks):
            deadline = time.monotonic() + NOTICE_SECONDS
        elif time.monotonic() > deadline:
            if is_final:
                return  # the caller kills them
            deadline, is_final = time.monotonic() + TERMINATE_SECONDS, True
            for rank in ranks:
                rank.send_signal(signal.SIGTERM)
    for rank in ranks:
        rank.receive()


def _raise_first_error(ranks: list[Rank]) -> None:
    """Raise the error of the rank that failed first, if one did.

    A killed rank comes first: it sends no error, and the others only see their connection to it closed.
    """
    for number, rank in enumerate(ranks):
        code = rank.process.exitcode
        if code and not rank.is_stopped and rank.error is None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            hint = ", perhaps for lack of memory; try a lower train.batch_size" if code == -signal.SIGKILL else ""
            raise TrainingError(f"rank {number} of {len(ranks)} {how}{hint}")
    failed = [(rank.failed_at, number) for number, rank in enumerate(ranks) if rank.failed_at]
    if not failed:
        return
    number = min(failed)[1]
    error = ranks[number].error
    if isinstance(error, MelismaError | OSError):
        raise error
    raise TrainingError(f"rank {number} of {len(ranks)}: {error}; MELISMA_DEBUG=1 shows where")
