"""Read audio files as blocks of mono float32, so that memory does not grow with their length; write 16-bit WAV."""

import io
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import soundfile

BLOCK_SAMPLES = 2**20  # samples of all channels together: 4 MiB
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz; another rate means a broken header


class UndecodableError(Exception):
    """A file without usable samples; `reason` is a rejection reason of stage windows."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Recording:
    """An open audio file: `rate` in Hz, `channels`, and `frames`, the samples per channel that its header gives.

    UndecodableError with the reason "unreadable" (missing, no permission, not a regular file), "empty" (no bytes) or
    "undecodable".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._state = _state(path)
            if not self._state[0]:
                raise UndecodableError("empty", "the file has no bytes")
            self._file = soundfile.SoundFile(path)
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OSError) as error:
            raise self._undecodable(error) from error
        self.rate, self.channels = self._file.samplerate, self._file.channels
        self.frames = _header_frames(self._file.frames, self._file.extra_info)
        if not MIN_RATE <= self.rate <= MAX_RATE:
            self._file.close()
            raise UndecodableError("undecodable", f"the header gives a sample rate of {self.rate} Hz")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode all samples and mix them to mono: (n,) float32 blocks, n > 0.

        Samples may lie outside [-1, 1], be NaN or infinite: see `limit`. There may be fewer than `frames`.
        UndecodableError with the reason "undecodable", "empty" (no samples) or "changed" (during the read).
        """
        frames, samples = max(1, BLOCK_SAMPLES // self.channels), 0
        # libsndfile is slow at converting 16-bit samples to float; the values are the same.
        is_int16 = self._file.subtype == "PCM_16"
        try:
            while len(block := self._file.read(frames, dtype="int16" if is_int16 else "float32")):
                samples += len(block)
                block = block * np.float32(1 / 32768) if is_int16 else block
                yield block if self.channels == 1 else _mix_to_mono(block)
            if _state(self._path) != self._state:
                raise UndecodableError("changed", "the file was written to while it was read")
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, MemoryError, OSError) as error:
            raise self._undecodable(error) from error
        if not samples:
            raise UndecodableError("empty", "the file has a header but no samples")

    def _undecodable(self, error: Exception) -> UndecodableError:
        if isinstance(error, OSError):
            return UndecodableError("unreadable", error.strerror or str(error))
        detail = str(error).replace(repr(str(self._path)), "the file").removeprefix("Error opening the file: ")
        if "possibly a pipe" in detail:  # libsndfile's message for an MP3 without a frame
            detail = "Format not recognised."
        return UndecodableError("undecodable", detail or type(error).__name__)


def _mix_to_mono(block: np.ndarray) -> np.ndarray:
    """(n, channels) to their mean (n,); the product is several times as fast as `mean`."""
    with np.errstate(invalid="ignore", over="ignore"):  # stage windows checks for NaN and infinity
        return block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)


def _header_frames(frames: int, log: str) -> int:
    """The frames that a WAV, AIFF or AU header gives; libsndfile reports only the frames that the file holds.

    Both sizes are in its log. The largest possible size means that the writing program did not know the length.
    """
    sizes = re.search(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be ([1-9]\d*)\)", log, re.MULTILINE)
    header_bytes, file_bytes = map(int, sizes.groups()) if sizes else (1, 1)
    return frames if header_bytes % 2**31 > 2**31 - 2**16 else frames * header_bytes // file_bytes


def _state(path: Path) -> tuple[int, int]:
    """Size and time of the last change; raises OSError for a pipe or a device, which may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "not a regular file")
    return status.st_size, status.st_mtime_ns


def limit(block: np.ndarray) -> np.ndarray:
    """Clip samples to [-1, 1], and replace NaN and infinity by 0."""
    if max(block.max(), -block.min()) <= 1:  # false for NaN
        return block
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1)


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write (samples,) float in [-1, 1] as 16-bit PCM."""
    content = io.BytesIO()  # not the file itself: libsndfile reports a full disk only as "System error"
    soundfile.write(content, audio, rate, format="WAV", subtype="PCM_16")
    path.write_bytes(content.getvalue())
