"""An audio file of any rate, length and number of channels, as the pipeline hears it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.files import Recording, UndecodableError, limit
from pipeline.audio.resample import resample_blocks
from pipeline.core.errors import DataError, ParamsError

OnRead = Callable[[Path, float, float], object]  # of which file, how many seconds, of how many


def quietly(path: Path, done: float, total: float) -> None:
    """Say nothing of what was read."""


def check(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        ParamsError: `path` is a folder, or nothing is there.
    """
    if path.is_dir():
        raise ParamsError(f"{path}: a folder; name the audio files in it")
    if not path.exists():
        raise ParamsError(f"{path}: no such file")


class Source:
    """An open recording, which is read once.

    Args:
        path: of a file in any format that libsndfile reads.
        on_read: called after each block with the seconds read so far, and those that the header promises.

    Attributes:
        rate: its own, in Hz.
        seconds: that its header promises.
        heard: samples per channel read so far.

    Raises:
        ParamsError: there is no such file.
        DataError: it cannot be read or decoded, here or in `blocks`.
    """

    def __init__(self, path: Path, on_read: OnRead = quietly) -> None:
        check(path)
        self.path, self._on_read = path, on_read
        try:
            self._recording = Recording(path)
        except UndecodableError as error:
            raise self._unusable(error) from error
        self.rate, self.heard = self._recording.rate, 0
        self.seconds = self._recording.frames / self.rate

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._recording.__exit__(*error)

    def blocks(self, rate: int) -> Iterator[np.ndarray]:
        """All of it at `rate`: (n,) float32 blocks, mixed to mono, which is what stage cache makes of a recording."""
        return resample_blocks(self._own(), self.rate, rate)

    def window(self, start: float, rate: int, length: int) -> np.ndarray:
        """(length,) at `rate` from `start` seconds on, with zeros where the recording has ended.

        Raises:
            ParamsError: it ends before `start`.
        """
        for audio in cut_windows(self.blocks(rate), [round(start * rate)], length):
            if len(audio):
                return pad(audio, length)
        raise ParamsError(f"--at {start:g}: {self.path} ends after {self.heard / self.rate:.2f} s")

    @property
    def notes(self) -> list[str]:
        """What is to be said of it once it was read: that it ends before its header says."""
        heard = self.heard / self.rate
        if self.heard >= self._recording.frames:
            return []
        return [f"{self.path} ends after {heard:.2f} s, though its header says {self.seconds:.2f} s"]

    def _own(self) -> Iterator[np.ndarray]:
        try:
            for block in self._recording.blocks():
                self.heard += len(block)
                yield limit(block)
                self._on_read(self.path, self.heard / self.rate, self.seconds)
        except UndecodableError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: UndecodableError) -> DataError:
        return DataError(f"{self.path}: {error.reason}: {error.detail}")
