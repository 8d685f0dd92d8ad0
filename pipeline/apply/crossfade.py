"""Overlapping windows to one stream, without a click where they meet."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

Mix = Callable[[np.ndarray, np.ndarray], np.ndarray]


def joined(windows: Iterable[np.ndarray], overlap: int, mix: Mix) -> Iterator[np.ndarray]:
    """Consecutive windows (..., n) as consecutive parts of one signal along the last axis.

    Args:
        windows: each begins `overlap` before the end of the one before; all but the last are at least twice as long.
        overlap: samples or frames.
        mix: of the overlapping ends (..., overlap) of the one before and the one that begins.
    """
    end: np.ndarray | None = None
    for window in windows:
        rest = window.shape[-1] - overlap
        if end is not None:
            window = np.concatenate([mix(end, window[..., :overlap]), window[..., overlap:]], axis=-1)
        yield window[..., :rest]
        end = window[..., rest:]
    if end is not None:
        yield end


def fade(length: int) -> np.ndarray:
    """(length,) weights of what begins, from 0 to 1 with level ends; those of what ends are 1 minus these."""
    return (np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(1, length)) ** 2).astype(np.float32)


def levels(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Cross-fade of (bands, frames) in dB: linear in level, so that what both have stays as it is."""
    weight = fade(end.shape[-1])
    return end + weight * (begin - end)


def sound(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Cross-fade of (samples,) that keeps the loudness, however alike the two are.

    Weights that add up to 1 keep what is the same on both sides, but let unlike signals sink by up to 3 dB half-way.
    The weights are therefore divided by the level that two equally loud signals of this correlation come to (Fink,
    Holters and Zölzer, Signal-matched power-complementary cross-fading, DAFx 2016): by 1 where they are the same.
    """
    weight = fade(len(end))
    power = np.sqrt(float(end @ end) * float(begin @ begin))
    alike = min(1.0, max(0.0, float(end @ begin) / power)) if power > 0 else 1.0
    level = np.sqrt(1 - 2 * (1 - alike) * weight * (1 - weight))
    return ((1 - weight) * end + weight * begin) / level.astype(np.float32)
