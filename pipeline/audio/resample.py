"""Sample rates, by soxr HQ: flat to 91 % of the lower Nyquist frequency, with aliases some 120 dB down."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr


def resample_blocks(blocks: Iterable[np.ndarray], rate: int, target: int) -> Iterator[np.ndarray]:
    """Consecutive blocks at `rate` as blocks at `target`, of exactly round(samples * target / rate) samples in all.

    Args:
        blocks: (n,) float32 each, finite: the filter would spread a NaN over its neighbours.
        rate: of the blocks, in Hz.
        target: of the result, in Hz.
    """
    if rate == target:
        yield from blocks
        return
    engine = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        result = engine.resample_chunk(block)
        given += len(result)
        yield result
    rest = round(taken * target / rate) - given
    last = engine.resample_chunk(np.empty(0, np.float32), last=True)[:rest]
    yield np.pad(last, (0, rest - len(last)))


def resample(audio: np.ndarray, rate: int, target: int) -> np.ndarray:
    """(samples,) finite float32 at `rate` to (round(samples * target / rate),) at `target`."""
    return np.concatenate(list(resample_blocks([audio], rate, target)))
