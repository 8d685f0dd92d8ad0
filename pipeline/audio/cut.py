"""Cut windows out of a stream of blocks."""

from collections.abc import Iterable, Iterator

import numpy as np


def cut_windows(blocks: Iterable[np.ndarray], starts: Iterable[int], length: int) -> Iterator[np.ndarray]:
    """Cut a window (length,) at each start, with fewer samples at the end of the recording, and none after it.

    `blocks` are consecutive parts of a recording, (n,) each; at most a window and a block are in memory. `starts` are
    sample numbers in ascending order, and may be endless.
    """
    stream = iter(blocks)
    buffer, offset = np.empty(0, np.float32), 0  # buffer[0] is sample number `offset`
    for start in starts:
        parts, end = [buffer[start - offset :]], offset + len(buffer)
        while end < start + length and (block := next(stream, None)) is not None:
            parts.append(block[max(0, start - end) :])
            end += len(block)
        parts = [part for part in parts if len(part)] or parts[:1]
        buffer = parts[0] if len(parts) == 1 else np.concatenate(parts)  # most windows lie in one block: no copy
        offset = min(start, end)
        if not len(buffer):
            return
        yield buffer[:length]


def pad(window: np.ndarray, length: int) -> np.ndarray:
    """Append zeros to a window that is shorter than `length`."""
    return window if len(window) == length else np.pad(window, (0, length - len(window)))
