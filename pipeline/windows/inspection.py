"""Inspect a recording: where its windows start, and which of them are usable."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from pipeline.audio.cut import cut_windows
from pipeline.audio.files import Recording, UndecodableError
from pipeline.windows.config import WindowsConfig

FULL_SHARE = 0.95  # a last window counts as full if this share of it is recorded
MAX_CLIPPED_SHARE = 0.1  # above this share of samples outside [-1, 1], a file has another scale and is not just loud
REASONS = (
    *("unreadable", "undecodable", "empty", "changed", "truncated", "too_short"),  # reasons for a file
    *("silent", "constant", "non_finite", "out_of_range"),  # reasons for a window
    *("excluded", "duplicate"),  # left out on purpose
)


@dataclass(frozen=True)
class Window:
    """A usable window. `repair`: "limited" (clipped to [-1, 1]), "padded" (zeros at its end), "limited, padded"."""

    start_seconds: float
    repair: str | None


@dataclass(frozen=True)
class Rejection:
    """A recording (start_seconds is None) or a window that is not used, and why: `reason` is one of REASONS."""

    path: str
    start_seconds: float | None
    reason: str
    detail: str


@dataclass(frozen=True)
class Inspection:
    """The windows of a recording. `digest` identifies its decoded audio; None if no window is usable."""

    windows: list[Window] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    digest: str | None = None


def inspect_recording(recording: tuple[str, int | None], root: Path, config: WindowsConfig) -> Inspection:
    """Decode a recording block by block and check each of its windows.

    The last window counts if 95 % of it is recorded (a GTZAN clip of 660,000 samples has six windows of 5 s), or 5 % if
    `partial` is pad. If windows overlap, none starts after a window that reaches the end.

    `recording` is a path below `root`, and the samples per channel that stage `download` counted (None: unknown).
    """
    path, expected_samples = recording
    try:
        with Recording(root / path) as file:
            return _inspect(path, file.blocks(), file.rate, max(expected_samples or 0, file.frames), config)
    except UndecodableError as error:
        is_escaped = error.reason == "unreadable" and re.search(r"\\x[0-9a-f]{2}", path)
        detail = "its name is not UTF-8; rename the file" if is_escaped else error.detail
        return Inspection(rejections=[Rejection(path, None, error.reason, detail)])


def _inspect(
    path: str, blocks: Iterable[np.ndarray], rate: int, expected_samples: int, config: WindowsConfig
) -> Inspection:
    length = round(config.seconds * rate)
    digest, decoded_samples = hashlib.sha256(f"{rate}:".encode()), 0
    windows: list[Window] = []
    rejections: list[Rejection] = []

    def counted_blocks() -> Iterator[np.ndarray]:
        nonlocal decoded_samples
        for block in blocks:
            decoded_samples += len(block)
            digest.update(np.ascontiguousarray(block).data)
            yield block

    def start_of(number: int) -> int:
        return round(number * config.hop * rate)

    number = end = 0  # windows so far, and the end of the last one
    for samples in cut_windows(counted_blocks(), map(start_of, count()), length):
        start = start_of(number)
        if not _has_window(start, end, start + len(samples), length, config):
            break
        problem = _problem(samples, config.silence_db)
        if problem:
            rejections.append(Rejection(path, number * config.hop, *problem))
        else:
            windows.append(Window(number * config.hop, _repair(samples, length)))
        number, end = number + 1, start + length
    duration = f"{decoded_samples / rate:.2f} s"
    if _has_window(start_of(number), end, expected_samples, length, config):
        detail = f"ends after {duration}, its header says {expected_samples / rate:.2f} s"
        rejections.append(Rejection(path, number * config.hop if number else None, "truncated", detail))
    elif not number:
        rejections.append(Rejection(path, None, "too_short", f"{duration}, a window takes {config.seconds:g} s"))
    return Inspection(windows, rejections, digest.hexdigest() if windows else None)


def _has_window(start: int, previous_end: int, samples: int, length: int, config: WindowsConfig) -> bool:
    """Whether a recording of `samples` samples has a window at `start`."""
    required = (1 - FULL_SHARE if config.partial == "pad" else FULL_SHARE) * length
    return previous_end < samples and samples - start >= max(1, required)


def _problem(window: np.ndarray, silence_db: float) -> tuple[str, str] | None:
    """Reason and detail of a rejection; None for a usable window."""
    finite = np.isfinite(window)
    if not finite.all():
        return "non_finite", f"NaN or infinite in {np.count_nonzero(~finite):,} of {len(window):,} samples"
    clipped = np.count_nonzero(np.abs(window) > 1) / len(window)
    if clipped > MAX_CLIPPED_SHARE:
        return "out_of_range", f"{clipped:.0%} of the samples are beyond -1 and 1, up to {np.abs(window).max():,.1f}"
    rms_db = 20 * np.log10(max(float(window.std(dtype=np.float64)), 1e-10))  # without the offset
    if rms_db >= silence_db:
        return None
    offset = float(window.mean(dtype=np.float64))
    if rms_db <= -200:
        return "constant" if offset else "silent", f"every sample is {offset:.3g}"
    return "silent", f"{rms_db:.0f} dB, the limit is {silence_db:g} dB"


def _repair(window: np.ndarray, length: int) -> str | None:
    repairs = {"limited": np.abs(window).max() > 1, "padded": len(window) < length}
    return ", ".join(name for name, is_needed in repairs.items() if is_needed) or None
