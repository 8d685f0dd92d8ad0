"""Start the ranks of one training on this host. They end together and with one error."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import SimpleQueue
from traceback import format_exc
from typing import Any

from pipeline.core.errors import MelismaError, TrainingError
from pipeline.core.process import DeferredSignals, exit_with_parent

NOTICE_SECONDS = 1.0  # time for the other ranks to notice a failure
TERMINATE_SECONDS = 5.0  # after SIGTERM, before SIGKILL
SAVE_SECONDS = 60.0  # time to save and end after Ctrl-C or SIGTERM
POLL_SECONDS = 0.1

Failure = tuple[float, int, Exception]  # its time by a clock that all ranks share, the rank, the error


def launch(main: Callable[..., None], arguments: Sequence[str], devices: int) -> None:
    """Run main(*arguments) in `devices` processes, with torchrun's environment variables, and wait for them.

    After Ctrl-C or SIGTERM all ranks get SIGTERM and have a minute to save and end; a second signal kills them. If a
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
    context = multiprocessing.get_context("spawn")
    failures: SimpleQueue[Failure] = context.SimpleQueue()
    ranks = []
    for number in range(devices):
        environment = {**variables, "RANK": number, "LOCAL_RANK": number}
        ranks.append(context.Process(target=_run, args=(os.getpid(), failures, environment, main, arguments)))
    with DeferredSignals() as signals:
        try:
            _start(ranks)
            _wait(ranks, failures, signals)
        finally:
            for rank in ranks:
                if rank.pid is not None:
                    rank.kill()
                    rank.join()
    if signals.received == signal.SIGINT:
        raise KeyboardInterrupt
    if signals.received:
        sys.exit(143)


def _start(ranks: Sequence[SpawnProcess]) -> None:
    resource_tracker.ensure_running()  # else `start` starts it, and unblocks the signal that is blocked here
    # The ranks inherit the block: without it, Ctrl-C in a terminal, which reaches them too, would print tracebacks.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for rank in ranks:
            rank.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _run(
    parent: int,
    failures: "SimpleQueue[Failure]",
    environment: Mapping[str, Any],
    main: Callable[..., None],
    arguments: Sequence[str],
) -> None:
    """Run `main` in a rank. Send an error to the parent before this process ends."""
    exit_with_parent(parent)
    os.setpgrp()  # a signal to the whole group reaches only the parent, which passes it on once: a second one kills
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update({key: str(value) for key, value in environment.items()})
    try:
        main(*arguments)
    except Exception as error:
        if os.environ.get("MELISMA_DEBUG"):
            print(f"rank {environment['RANK']}:\n{format_exc()}", file=sys.stderr, flush=True)
        is_known = isinstance(error, MelismaError | OSError)
        sent = error if is_known else RuntimeError(f"{type(error).__name__}: {error}")  # others may not be picklable
        failures.put((time.monotonic(), environment["RANK"], sent))
        sys.exit(1)


def _wait(ranks: Sequence[SpawnProcess], failures: "SimpleQueue[Failure]", signals: DeferredSignals) -> None:
    """Wait until all ranks have ended; after a signal or a failure only for a limited time. Raise the first error."""
    while not signals.received and not any(rank.exitcode for rank in ranks):
        alive = [rank.sentinel for rank in ranks if rank.is_alive()]
        if not alive:
            return
        connection.wait(alive, POLL_SECONDS)
    killed = None
    if not signals.received:
        time.sleep(NOTICE_SECONDS)
        # A killed rank sends no error, and the others only see their connection to it closed.
        killed = next((number for number, rank in enumerate(ranks) if (rank.exitcode or 0) < 0), None)
    end = time.monotonic() + (SAVE_SECONDS if signals.received else TERMINATE_SECONDS)
    for rank in ranks:
        rank.terminate()
    for rank in ranks:
        rank.join(max(0.0, end - time.monotonic()))
    if killed is not None:
        number = -(ranks[killed].exitcode or 0)
        hint = ", perhaps for lack of memory; try a lower train.batch_size" if number == signal.SIGKILL else ""
        raise TrainingError(f"rank {killed} of {len(ranks)} was killed by {signal.Signals(number).name}{hint}")
    received = []
    while not failures.empty():
        received.append(failures.get())
    for _, number, error in sorted(received, key=lambda failure: failure[0]):
        if isinstance(error, MelismaError | OSError):
            raise error
        if not signals.received:
            raise TrainingError(f"rank {number} of {len(ranks)}: {error}; MELISMA_DEBUG=1 shows where")
    if not signals.received:
        number = next(number for number, rank in enumerate(ranks) if rank.exitcode)
        raise TrainingError(f"rank {number} of {len(ranks)} ended with exit code {ranks[number].exitcode}")
