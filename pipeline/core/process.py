"""Where the work runs: the `runtime` section, and worker processes that end with their parent."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from pydantic import Field

from pipeline.core.errors import MelismaError
from pipeline.core.params import Strict

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerDiedError(MelismaError):
    """A worker process was killed."""


class RuntimeConfig(Strict):
    """Where the work runs. No result depends on it."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, mps, cuda or one GPU as cuda:1; auto: a GPU where there is one",
    )
    workers: int | None = Field(None, ge=1, description="processes that decode audio; null: one per core")
    checkpoint_seconds: float = Field(
        60.0,
        ge=0,
        description="seconds between two saves of a training, from which it goes on when it was stopped; 0: each step",
    )


@contextmanager
def pool(workers: int | None) -> Iterator[Executor]:
    """`workers` processes (one per core by default); an error or Ctrl-C in the block drops what has not begun."""
    context = multiprocessing.get_context("spawn")  # forking a process that runs threads can hang
    count = workers or cores()
    executor = ProcessPoolExecutor(count, context, initializer=end_with, initargs=(os.getpid(),))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # workers inherit it: Ctrl-C is the parent's to handle
    for _ in range(count):
        executor.submit(int)  # starts a worker
    signal.signal(signal.SIGINT, before)
    try:
        yield executor
    except BrokenProcessPool as error:
        hint = "perhaps for want of memory; try a lower runtime.workers"
        raise WorkerDiedError(f"a worker process died, {hint}") from error
    finally:
        executor.shutdown(cancel_futures=True)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with(parent: int) -> None:
    """In a process that `parent` (its id) has started: end when the parent is gone, even by `kill -9`."""
    gc.set_threshold(10_000, 50, 100)  # as in stages/__init__.py

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def ordered(executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the items' order, with a bounded number of them begun or waiting, so that memory stays bounded."""
    ahead = 4 * cores()
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
