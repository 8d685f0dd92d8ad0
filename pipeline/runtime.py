"""Where the work runs: the `runtime` section, and worker processes that end with their parent."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from pydantic import Field

from pipeline.params import Strict

Item = TypeVar("Item")
Result = TypeVar("Result")


class RuntimeConfig(Strict):
    """Where the work runs. Never part of a result, so no stage is run again for it."""

    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    workers: int | None = Field(None, ge=1, description="processes that decode audio; null: one per core")


@contextmanager
def pool(workers: int | None) -> Iterator[Executor]:
    """`workers` processes (one per core by default); an error or Ctrl-C in the block drops what has not begun."""
    context = multiprocessing.get_context("spawn")  # forking a process that runs threads can hang
    executor = ProcessPoolExecutor(workers or os.cpu_count(), context, initializer=_start, initargs=(os.getpid(),))
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _start(parent: int) -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent is gone, even by `kill -9`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def ordered(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 8
) -> Iterator[Result]:
    """Results in the items' order, with at most `ahead` of them begun or waiting, so that memory stays bounded."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(executor.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
