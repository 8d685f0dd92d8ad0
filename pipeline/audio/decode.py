"""Audio files to mono float32 at a chosen rate."""

from pathlib import Path

import numpy as np
import soundfile
import soxr


class UndecodableError(Exception):
    """A file that gives no samples; `reason` is a rejection reason of stage windows."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Decode a whole file and mix it to mono.

    Returns:
        ((samples,) float32, sample rate). A file that ends before its header says gives what is there, and NaN and
        infinity come through: the caller decides.

    Raises:
        UndecodableError: reason "empty" for a file without samples, else "undecodable".
    """
    try:
        if path.stat().st_size == 0:
            raise UndecodableError("empty", "the file has no bytes")
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, MemoryError, OSError) as error:
        raise UndecodableError(
            "undecodable", f"{type(error).__name__}: {error}".replace(str(path), path.name)
        ) from error
    if len(audio) == 0:
        raise UndecodableError("empty", "the file has a header but no samples")
    mono = audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1)
    return np.ascontiguousarray(mono), rate


def resample(audio: np.ndarray, rate: int, target: int) -> np.ndarray:
    """(samples,) at `rate` to exactly round(samples * target / rate) samples at `target`, with soxr HQ.

    Non-finite samples count as 0: a filter would spread them over their neighbours.
    """
    audio = np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0)
    if rate == target:
        return audio
    length = round(len(audio) * target / rate)
    result = soxr.resample(audio, rate, target, quality="HQ")[:length]
    return np.pad(result, (0, length - len(result)))


def cut(audio: np.ndarray, start: int, length: int) -> np.ndarray:
    """`length` samples from `start`, with zeros where the recording has ended."""
    part = audio[start : start + length]
    return part if len(part) == length else np.pad(part, (0, length - len(part)))
