"""Progress of long work."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from pipeline.core import workspace

Item = TypeVar("Item")
Result = TypeVar("Result")

LINE_SECONDS = 60.0  # between two lines of `byte_progress` if there is no terminal


def map_with_progress(
    executor: Executor, function: Callable[[Item], Result], items: Sequence[Item], action: str
) -> list[Result]:
    """The results of the executor in the order of `items`, with a bar if there is a terminal."""
    return list(tqdm(executor.map(function, items), total=len(items), desc=action, unit="file", disable=None))


def format_bytes(number: float) -> str:
    """Such as 1.23GB, which is 1.23 * 10^9 bytes."""
    return tqdm.format_sizeof(number, "B")


@contextmanager
def byte_progress(action: str, total: int | None, initial: int = 0) -> Iterator[Callable[[int], None]]:
    """Show a bar, or print a line per minute if there is no terminal.

    Yields a function to call with the size of each chunk. `initial` bytes of `total` are already transferred.
    """
    start = last_line = time.monotonic()
    done = initial
    with tqdm(total=total, initial=initial, desc=action, unit="B", unit_scale=True, disable=None) as bar:

        def advance(size: int) -> None:
            nonlocal done, last_line
            done += size
            bar.update(size)
            now = time.monotonic()
            if bar.disable and now - last_line >= LINE_SECONDS:
                last_line = now
                settings: dict[str, Any] = {"total": total, "initial": initial, "unit": "B", "unit_scale": True}
                workspace.say(f"  {tqdm.format_meter(done, elapsed=now - start, prefix=action, **settings)}")

        yield advance
