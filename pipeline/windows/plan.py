"""Where a recording's windows start, and which of them can be used."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from pipeline.audio.cut import cuts
from pipeline.audio.decode import Recording, UndecodableError
from pipeline.windows.config import WindowsConfig

FULL_ENOUGH = 0.95
MOST_BEYOND = 0.1  # share of samples beyond [-1, 1] above which a file is on another scale, not just loud
REASONS = (
    *("unreadable", "undecodable", "empty", "changed", "truncated", "too_short"),  # of a file
    *("silent", "constant", "non_finite", "out_of_range"),  # of a window
    *("excluded", "duplicate"),  # left out on purpose
)


@dataclass(frozen=True)
class Window:
    """A usable window; `repair` says what is done to it: "limited" to [-1, 1], "padded" with zeros at its end."""

    start_seconds: float
    repair: str | None


@dataclass(frozen=True)
class Rejected:
    """A file (start_seconds is None) or a window that is not used; `reason` is one of REASONS."""

    path: str
    start_seconds: float | None
    reason: str
    detail: str


@dataclass(frozen=True)
class Inspected:
    """What is in a recording; `digest` is equal for two whose decoded audio is equal, None where nothing is usable."""

    good: list[Window] = field(default_factory=list)
    bad: list[Rejected] = field(default_factory=list)
    digest: str | None = None


def inspect(recording: tuple[str, int | None], root: Path, config: WindowsConfig) -> Inspected:
    """Decode a recording, block by block, and sort its windows.

    A last window that is not full is used when at least 95 % of it is there (a GTZAN clip of 660,000 samples has six
    windows of 5 s), or 5 % when `partial` is pad. Where windows overlap, none starts after one that reached the end.

    Args:
        recording: path below `root`, as rejects name it, and the frames that stage download found (None where there
            were none).
        root: folder of the recordings.
        config: length, hop and limits of the windows.
    """
    path, promised = recording
    try:
        with Recording(root / path) as opened:
            return _inspect(path, opened.blocks(), opened.rate, max(promised or 0, opened.frames), config)
    except UndecodableError as error:
        escaped = error.reason == "unreadable" and re.search(r"\\x[0-9a-f]{2}", path)
        detail = "its name is not UTF-8; rename the file" if escaped else error.detail
        return Inspected(bad=[Rejected(path, None, error.reason, detail)])


def _inspect(path: str, blocks: Iterable[np.ndarray], rate: int, promised: int, config: WindowsConfig) -> Inspected:
    length = round(config.seconds * rate)
    heard = _Heard(rate)
    good: list[Window] = []
    bad: list[Rejected] = []
    number = end = 0  # windows so far, and where the last of them ends

    def place(n: int) -> int:
        return round(n * config.hop * rate)

    for window in cuts(heard.listen(blocks), map(place, count()), length):
        start = place(number)
        if not _planned(start, end, start + len(window), length, config):
            break
        problem = _problem(window, config.silence_db)
        if problem:
            bad.append(Rejected(path, number * config.hop, *problem))
        else:
            good.append(Window(number * config.hop, _repair(window, length)))
        number, end = number + 1, start + length
    start = place(number)
    lasts = f"{heard.samples / rate:.2f} s"
    if _planned(start, end, promised, length, config):
        detail = f"ends after {lasts}, its header says {promised / rate:.2f} s"
        bad.append(Rejected(path, number * config.hop if number else None, "truncated", detail))
    elif not number:
        bad.append(Rejected(path, None, "too_short", f"{lasts}, a window takes {config.seconds:g} s"))
    return Inspected(good, bad, heard.digest() if good else None)


def _planned(start: int, before: int, frames: int, length: int, config: WindowsConfig) -> bool:
    """Whether a recording of `frames` samples has a window at `start`, after one that ends at `before`."""
    least = (1 - FULL_ENOUGH if config.partial == "pad" else FULL_ENOUGH) * length
    return before < frames and frames - start >= max(1, least)


class _Heard:
    """What went by: how many samples, and a digest of them."""

    def __init__(self, rate: int) -> None:
        self.samples = 0
        self._hash = hashlib.sha256(f"{rate}:".encode())

    def listen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self.samples += len(block)
            self._hash.update(np.ascontiguousarray(block).data)
            yield block

    def digest(self) -> str:
        return self._hash.hexdigest()


def _problem(window: np.ndarray, silence_db: float) -> tuple[str, str] | None:
    """Reason and detail, or None for a usable window."""
    finite = np.isfinite(window)
    if not finite.all():
        return "non_finite", f"NaN or infinite in {np.count_nonzero(~finite):,} of {len(window):,} samples"
    beyond = np.count_nonzero(np.abs(window) > 1) / len(window)
    if beyond > MOST_BEYOND:
        return "out_of_range", f"{beyond:.0%} of the samples are beyond -1 and 1, up to {np.abs(window).max():,.1f}"
    level = 20 * np.log10(max(float(window.std(dtype=np.float64)), 1e-10))
    if level >= silence_db:
        return None
    offset = float(window.mean(dtype=np.float64))
    if level <= -200:
        return "constant" if offset else "silent", f"every sample is {offset:.3g}"
    return "silent", f"{level:.0f} dB, the limit is {silence_db:g} dB"


def _repair(window: np.ndarray, length: int) -> str | None:
    done = [name for name, so in (("limited", np.abs(window).max() > 1), ("padded", len(window) < length)) if so]
    return ", ".join(done) or None
