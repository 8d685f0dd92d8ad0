"""Where a recording's windows start, and which of them can be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio.decode import UndecodableError, cut, decode
from pipeline.windows.config import WindowsConfig

FULL_ENOUGH = 0.95
REASONS = ("undecodable", "empty", "truncated", "too_short", "silent", "non_finite")


@dataclass(frozen=True)
class Rejected:
    """A file (start_seconds is None) or a window that cannot be used; `reason` is one of REASONS."""

    path: str
    start_seconds: float | None
    reason: str
    detail: str


def starts(frames: int, rate: int, config: WindowsConfig) -> Iterator[float]:
    """Start times in seconds of the windows of a recording of `frames` samples at `rate`.

    A last window that is not full is used when at least 95 % of it is there (a GTZAN clip of 660,000 samples has six
    windows of 5 s), or when `partial` is pad. Where windows overlap, none starts after one that reached the end.
    """
    length = round(config.seconds * rate)
    start, number, end = 0, 0, 0
    while start < frames and end < frames:
        end = start + length
        if end <= frames or config.partial == "pad" or frames - start >= FULL_ENOUGH * length:
            yield number * config.hop
        number += 1
        start = round(number * config.hop * rate)


def inspect(recording: tuple[str, int | None], root: Path, config: WindowsConfig) -> tuple[list[float], list[Rejected]]:
    """Decode a recording and sort its windows.

    Args:
        recording: path below `root`, as rejects name it, and the frames that the file's header promised (None where it
            could not be read).
        root: folder of the recordings.
        config: length, hop and limits of the windows.

    Returns:
        Start times of the usable windows, and what was rejected.
    """
    path, frames = recording
    try:
        audio, rate = decode(root / path)
    except UndecodableError as error:
        return [], [Rejected(path, None, error.reason, error.detail)]
    promised = max(frames or 0, len(audio))
    planned = list(starts(promised, rate, config))
    if not planned:
        lasts = f"{promised / rate:.2f} s, a window takes {config.seconds:g} s"
        return [], [Rejected(path, None, "too_short", lasts)]
    length = round(config.seconds * rate)
    good, bad = [], []
    for start in planned:
        first = round(start * rate)
        missing = min(first + length, promised) - len(audio)
        problem = ("truncated", f"{missing} samples missing at the end") if missing > 0 else None
        problem = problem or _problem(cut(audio, first, length), config.silence_db)
        if problem is None:
            good.append(start)
        else:
            bad.append(Rejected(path, start, *problem))
    return good, bad


def _problem(window: np.ndarray, silence_db: float) -> tuple[str, str] | None:
    """Reason and detail, or None for a usable window. A constant offset counts as silence."""
    finite = np.isfinite(window)
    if not finite.all():
        return "non_finite", f"{np.count_nonzero(~finite)} samples are NaN or infinite"
    rms = float(window.std(dtype=np.float64))
    level = 20 * np.log10(max(rms, 1e-10))
    return ("silent", f"{level:.0f} dB, the limit is {silence_db:g} dB") if level < silence_db else None
