"""Inspect a recording: where its windows start, and which of them are usable."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import isfinite
from pathlib import Path

import numpy as np

from pipeline.audio.cut import cut_windows
from pipeline.audio.recording import Recording, UndecodableError
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
    seconds: float | None = None  # of sound that this leaves out; None: not known


@dataclass(frozen=True)
class Inspection:
    """The windows of a recording, and its sample rate in Hz, channels and decoded seconds (None: undecodable).

    `digest` identifies its decoded audio; None if no window is usable.
    """

    windows: list[Window] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    digest: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    seconds: float | None = None


def inspect_recording(path: str, root: Path, config: WindowsConfig) -> Inspection:
    """Decode the recording at `path` below `root` block by block, and check each of its windows.

    The last window counts if 95 % of it is recorded (a GTZAN clip of 660,000 samples has six windows of 5 s), or 5 % if
    `partial` is pad. If windows overlap, none starts after a window that reaches the end.
    """
    try:
        with Recording(root / path) as recording:
            return _inspect(path, recording, config)
    except UndecodableError as error:
        is_escaped = error.reason == "unreadable" and re.search(r"\\x[0-9a-f]{2}", path)
        detail = "its name is not UTF-8; rename the file" if is_escaped else error.detail
        return Inspection(rejections=[Rejection(path, None, error.reason, detail)])


def _inspect(path: str, recording: Recording, config: WindowsConfig) -> Inspection:
    rate = recording.rate
    length = round(config.seconds * rate)
    digest = hashlib.sha256(f"{rate}:".encode())
    windows: list[Window] = []
    rejections: list[Rejection] = []

    def hashed_blocks() -> Iterator[np.ndarray]:
        for block in recording.blocks():
            digest.update(np.ascontiguousarray(block).data)
            yield block

    def start_of(number: int) -> int:
        return round(number * config.hop * rate)

    number = end = 0  # windows so far, and the end of the last one
    for samples in cut_windows(hashed_blocks(), map(start_of, count()), length):
        start = start_of(number)
        if not _has_window(start, end, start + len(samples), length, config):
            break
        problem = window_problem(samples, config.silence_db)
        if problem:
            rejections.append(Rejection(path, number * config.hop, *problem, len(samples) / rate))
        else:
            windows.append(Window(number * config.hop, _repair(samples, length)))
        number, end = number + 1, start + length
    seconds, missing = recording.samples / rate, recording.missing
    missing_seconds = missing.seconds if missing and isfinite(missing.seconds) else None
    expected_samples = None if missing_seconds is None else recording.samples + round(missing_seconds * rate)
    if missing and (expected_samples is None or _has_window(start_of(number), end, expected_samples, length, config)):
        first_missing = number * config.hop if number else None
        rejections.append(Rejection(path, first_missing, "truncated", missing.detail, missing_seconds))
    elif not number:
        detail = f"{seconds:.2f} s, a window takes {config.seconds:g} s"
        rejections.append(Rejection(path, None, "too_short", detail, seconds))
    return Inspection(windows, rejections, digest.hexdigest() if windows else None, rate, recording.channels, seconds)


def _has_window(start: int, previous_end: int, samples: int, length: int, config: WindowsConfig) -> bool:
    """Whether a recording of `samples` samples has a window at `start`."""
    required = (1 - FULL_SHARE if config.partial == "pad" else FULL_SHARE) * length
    return previous_end < samples and samples - start >= max(1, required)


def window_problem(window: np.ndarray, silence_db: float) -> tuple[str, str] | None:
    """Reason and detail of the rejection of a window (samples,); None for a usable one."""
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
