"""Windows out of a stream of blocks."""

from collections.abc import Iterable, Iterator

import numpy as np


def cut_windows(blocks: Iterable[np.ndarray], starts: Iterable[int], length: int) -> Iterator[np.ndarray]:
    """The window at each start, holding no more than a window and a block at a time.

    Args:
        blocks: consecutive parts of a recording, (n,) each.
        starts: first sample of each window, ascending; may be endless.
        length: of a window in samples.

    Yields:
        (length,) each, fewer where the recording ends within; none for a start at which it has ended.
    """
    source = iter(blocks)
    held, first = np.empty(0, np.float32), 0  # held[0] is sample number `first`
    for start in starts:
        parts, end = [held[start - first :]], first + len(held)
        while end < start + length and (block := next(source, None)) is not None:
            parts.append(block[max(0, start - end) :])
            end += len(block)
        parts = [part for part in parts if len(part)] or parts[:1]
        held = parts[0] if len(parts) == 1 else np.concatenate(parts)  # most windows lie within one block: no copy
        first = min(start, end)
        if not len(held):
            return
        yield held[:length]


def pad(window: np.ndarray, length: int) -> np.ndarray:
    """(length,): `window` with zeros at its end where it is shorter."""
    return window if len(window) == length else np.pad(window, (0, length - len(window)))
