"""Audio files to mono float32, a block at a time: memory does not grow with a recording's length."""

import io
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

BLOCK_SAMPLES = 2**20  # of all channels: 4 MiB
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000  # Hz; what lies outside is a broken header


class UndecodableError(Exception):
    """A file that gives no samples; `reason` is a rejection reason of stage windows."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Recording:
    """An open audio file.

    Attributes:
        rate: samples per second.
        channels: how many.
        frames: samples per channel that the header promises; the file may hold fewer.

    Raises:
        UndecodableError: reason "unreadable" (absent, no permission, not a regular file), "empty" (no bytes) or
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
        self.frames = _promised(self._file.frames, self._file.extra_info)
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            self._file.close()
            raise UndecodableError("undecodable", f"the header gives a sample rate of {self.rate} Hz")

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples from the start, mixed to mono: (n,) float32 blocks, n > 0.

        They are as decoded: values may lie beyond [-1, 1] or be NaN or infinite, and a file that ends before its header
        says gives what is there. `limit` makes them fit for use.

        Raises:
            UndecodableError: reason "undecodable", "empty" for a file without samples, or "changed" for one that was
                written to in the meantime.
        """
        frames, given = max(1, BLOCK_SAMPLES // self.channels), 0
        # libsndfile is slow at making floats of 16-bit samples; the values are the same.
        short = self._file.subtype == "PCM_16"
        try:
            while len(block := self._file.read(frames, dtype="int16" if short else "float32")):
                given += len(block)
                block = block * np.float32(1 / 32768) if short else block
                yield block if self.channels == 1 else _mono(block)
            if _state(self._path) != self._state:
                raise UndecodableError("changed", "the file was written to while it was read")
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, MemoryError, OSError) as error:
            raise self._undecodable(error) from error
        if not given:
            raise UndecodableError("empty", "the file has a header but no samples")

    def _undecodable(self, error: Exception) -> UndecodableError:
        if isinstance(error, OSError):
            return UndecodableError("unreadable", error.strerror or str(error))
        said = str(error).replace(repr(str(self._path)), "the file").removeprefix("Error opening the file: ")
        if "possibly a pipe" in said:  # what libsndfile says of an MP3 without a frame
            said = "Format not recognised."
        return UndecodableError("undecodable", said or type(error).__name__)


def _mono(block: np.ndarray) -> np.ndarray:
    """(n, channels) to their mean (n,), by a product, which is several times as fast as `mean`."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found in its window
        return block @ np.full(block.shape[1], 1 / block.shape[1], np.float32)


def _promised(frames: int, log: str) -> int:
    """The frames that the header says, where libsndfile has cut them down to what is there (WAV, AIFF, AU).

    Its log alone has both sizes. A program that could not know the length has written the largest one: that is none.
    """
    sizes = re.search(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be ([1-9]\d*)\)", log, re.MULTILINE)
    said, there = map(int, sizes.groups()) if sizes else (1, 1)
    return frames if said % 2**31 > 2**31 - 2**16 else frames * said // there


def _state(path: Path) -> tuple[int, int]:
    """Size and time of the last change; a pipe or a device, which might never end, is refused."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "not a regular file")
    return found.st_size, found.st_mtime_ns


def limit(block: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1]: what lies beyond is limited to them, and NaN and infinity count as 0."""
    if max(block.max(), -block.min()) <= 1:  # false where there is a NaN
        return block
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1)


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write (samples,) float in [-1, 1] as 16-bit PCM.

    Raises:
        OSError: it cannot be written. (libsndfile itself would only say "System error" of a full disk.)
    """
    content = io.BytesIO()
    soundfile.write(content, audio, rate, format="WAV", subtype="PCM_16")
    path.write_bytes(content.getvalue())
