"""How far a long transfer of bytes is."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from pipeline.core import workspace

EVERY = 60.0  # s between two lines where there is no terminal


def size(number: float) -> str:
    """A number of bytes as people read it, e.g. 1.23GB (of 10^9 bytes)."""
    return f"{tqdm.format_sizeof(number)}B"


@contextmanager
def progress(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """A function to call with each further number of bytes: a bar with rate and time left, or a line per minute.

    Args:
        what: is done, e.g. "downloading x".
        total: bytes in the end, where known.
        done: bytes that an earlier run did.
    """
    begun = said = time.monotonic()
    first = done
    with tqdm(total=total, initial=done, desc=what, unit="B", unit_scale=True, disable=None) as bar:

        def advance(number: int) -> None:
            nonlocal done, said
            bar.update(number)
            done += number
            now = time.monotonic()
            if bar.disable and now - said >= EVERY:
                said = now
                rate = (done - first) / (now - begun)
                left = f", {tqdm.format_interval((total - done) / rate)} left" if total and rate else ""
                workspace.say(f"  {what}: {size(done)}{f' of {size(total)}' if total else ''}, {size(rate)}/s{left}")

        yield advance
