"""Ranks of one training on this host, each a process, that end together and with one error."""

import multiprocessing
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from traceback import format_exc
from typing import NoReturn

from pipeline.core.errors import MelismaError, TrainingError
from pipeline.core.process import exit_with_parent

SETTLE = 1.0  # seconds in which the other ranks may notice by themselves that one has failed
GRACE = 5.0  # after that, to end when asked to
SAVING = 60.0  # to save and end after Ctrl-C or SIGTERM
POLL = 0.1


@dataclass
class Rank:
    """One of the processes, and what is known of it."""

    process: SpawnProcess
    pipe: Connection
    listens: bool = False  # to signals: it has been imported and begins to work
    told: bool = False  # to end
    failed: float | None = None  # when it said so, in seconds of a clock that all ranks share
    error: Exception | None = None

    def hear(self) -> None:
        """Take what it has said so far."""
        try:
            while not self.pipe.closed and self.pipe.poll():
                said = self.pipe.recv()
                self.listens = True
                if said is not None:
                    self.failed, self.error = said
        except EOFError:
            self.pipe.close()

    def send(self, number: signal.Signals) -> None:
        """A signal, where it listens; one that is still being started is ended."""
        if self.process.is_alive() and self.process.pid is not None:
            self.told = True
            os.kill(self.process.pid, number if self.listens else signal.SIGTERM)


def launch(main: Callable[..., None], arguments: Sequence[str], devices: int) -> None:
    """Run main(*arguments) as each of `devices` ranks, with torchrun's environment variables, and wait for them.

    Ctrl-C and SIGTERM are passed on to all ranks, which have a minute to save and end; a second one ends them at once.
    When a rank fails, the others are ended within seconds. No rank outlives this process.

    Args:
        main: of a module, since each rank imports it.
        arguments: of it.
        devices: number of ranks.

    Raises:
        MelismaError: the one that the rank which failed first has raised; or else one that says what became of it.
        OSError: likewise.
        KeyboardInterrupt: after Ctrl-C, unless a rank has said more.
        SystemExit: after SIGTERM, likewise; its code is 143.
    """
    import torch.distributed as dist  # torch takes seconds to import, and ranks import this file

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    # The last one is torchrun's too: the ranks meet at this store, and none of them opens another.
    common = {
        "WORLD_SIZE": devices,
        "LOCAL_WORLD_SIZE": devices,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": store.port,
        "TORCHELASTIC_USE_AGENT_STORE": True,
    }
    with _signals() as asked:
        ranks: list[Rank] = []
        try:
            for rank in range(devices):
                environment = {key: str(value) for key, value in {**common, "RANK": rank, "LOCAL_RANK": rank}.items()}
                ranks.append(_start(main, arguments, environment))
            _wait(ranks, asked)
        finally:
            for each in ranks:
                each.process.kill()
                each.process.join()
    if asked:
        _interrupted(ranks, asked[0])
    _raise_first(ranks)


def _start(main: Callable[..., None], arguments: Sequence[str], environment: dict[str, str]) -> Rank:
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(os.getpid(), end, environment, main, arguments))
    resource_tracker.ensure_running()  # or it would be started with the process, and unblock what is blocked here
    # The process inherits that: until it listens, Ctrl-C in a terminal would end it with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end.close()
    return Rank(process, pipe)


def _run(
    parent: int, pipe: Connection, environment: dict[str, str], main: Callable[..., None], arguments: Sequence[str]
) -> None:
    """In a rank: run `main`, and tell how it failed before the process, and with it its connections, ends."""
    exit_with_parent(parent)
    os.setpgrp()  # a terminal sends Ctrl-C to its whole group: so it comes once, from the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which forgets one that has come until now
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(environment)
    pipe.send(None)
    try:
        main(*arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("MELISMA_DEBUG"):
            print(f"rank {environment['RANK']}:\n{format_exc()}", file=sys.stderr, flush=True)
        pipe.send((time.monotonic(), _portable(error)))
        sys.exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself where it can be sent and is meant for a user; else what it is."""
    if isinstance(error, MelismaError | OSError):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            pass
    return RuntimeError(f"{type(error).__name__}: {error}")


@contextmanager
def _signals() -> Iterator[list[signal.Signals]]:
    """Within it Ctrl-C and SIGTERM end nothing; which came is in the list."""
    asked: list[signal.Signals] = []
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, lambda number, _: asked.append(signal.Signals(number))) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _wait(ranks: list[Rank], asked: list[signal.Signals]) -> None:
    """Until all have ended, or have had the time to after a signal or the first failure."""
    passed = 0  # signals, of those asked
    deadline, last = float("inf"), False
    while any(rank.process.is_alive() for rank in ranks):
        pipes = [rank.pipe for rank in ranks if not rank.pipe.closed]
        connection.wait([*pipes, *(r.process.sentinel for r in ranks if r.process.is_alive())], POLL)
        for rank in ranks:
            rank.hear()
        if len(asked) > passed:
            if passed:
                return  # and they are killed
            passed, deadline, last = len(asked), time.monotonic() + SAVING, True
            for rank in ranks:
                rank.send(asked[0])
        elif deadline == float("inf") and any(rank.failed or rank.process.exitcode for rank in ranks):
            deadline = time.monotonic() + SETTLE
        elif time.monotonic() > deadline:
            if last:
                return
            deadline, last = time.monotonic() + GRACE, True
            for rank in ranks:
                rank.send(signal.SIGTERM)
    for rank in ranks:
        rank.hear()


def _interrupted(ranks: list[Rank], number: signal.Signals) -> NoReturn:
    """Raise what a rank has said after it was interrupted, or what the signal means."""
    for rank in ranks:
        if isinstance(rank.error, MelismaError | OSError):
            raise rank.error
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(143)


def _raise_first(ranks: list[Rank]) -> None:
    """Raise the error of the rank that was the first to fail, if one did.

    One that was killed could say nothing: what the others say is then that its connections were closed.
    """
    for number, rank in enumerate(ranks):
        code = rank.process.exitcode
        if code and not rank.told and rank.error is None:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            hint = ", perhaps for want of memory; try a lower train.batch_size" if code == -signal.SIGKILL else ""
            raise TrainingError(f"rank {number} of {len(ranks)} {how}{hint}")
    failed = [(rank.failed, number) for number, rank in enumerate(ranks) if rank.failed]
    if not failed:
        return
    number = min(failed)[1]
    error = ranks[number].error
    if isinstance(error, MelismaError | OSError):
        raise error
    raise TrainingError(f"rank {number} of {len(ranks)}: {error}; MELISMA_DEBUG=1 shows where")
