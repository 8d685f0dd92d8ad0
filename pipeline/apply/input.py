"""Read an audio file of any sample rate, length and number of channels, just as stage cache reads recordings."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.apply.arguments import check_input
from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.files import Recording, UndecodableError, limit
from pipeline.audio.resample import resample_blocks
from pipeline.core.errors import DataError, ParamsError

OnProgress = Callable[[Path, float, float], object]  # takes the file, the seconds read, and its length in seconds


def ignore_progress(path: Path, seconds_read: float, seconds: float) -> None:
    """Show no progress."""


class InputRecording(Recording):
    """An open recording, which can be read once; `seconds` is its length according to the header.

    Raises:
        ParamsError: there is no such file.
        DataError: the file cannot be read or decoded, here or in `resampled_blocks`.
    """

    def __init__(self, path: Path, on_progress: OnProgress = ignore_progress) -> None:
        check_input(path)
        self.path, self._on_progress = path, on_progress
        try:
            super().__init__(path)
        except UndecodableError as error:
            raise self._data_error(error) from error
        self.samples_read = 0  # per channel
        self.seconds = self.frames / self.rate

    @property
    def seconds_read(self) -> float:
        """Seconds read so far."""
        return self.samples_read / self.rate

    def resampled_blocks(self, rate: int) -> Iterator[np.ndarray]:
        """The recording at sample rate `rate`, mixed to mono: (n,) float32 blocks."""
        return resample_blocks(self._decoded_blocks(), self.rate, rate)

    def window(self, start: float, rate: int, length: int) -> np.ndarray:
        """(length,) samples at `rate` from `start` seconds, zeros after the end; ParamsError if `start` is after it."""
        for audio in cut_windows(self.resampled_blocks(rate), [round(start * rate)], length):
            if len(audio):
                return pad(audio, length)
        raise ParamsError(f"--at {start:g}: {self.path} ends after {self.seconds_read:.2f} s")

    @property
    def notes(self) -> list[str]:
        """Messages after the reading: the recording is shorter than its header says."""
        if self.samples_read >= self.frames:
            return []
        return [f"{self.path} ends after {self.seconds_read:.2f} s, though its header says {self.seconds:.2f} s"]

    def _decoded_blocks(self) -> Iterator[np.ndarray]:
        try:
            for block in self.blocks():
                self.samples_read += len(block)
                yield limit(block)
                self._on_progress(self.path, self.seconds_read, self.seconds)
        except UndecodableError as error:
            raise self._data_error(error) from error

    def _data_error(self, error: UndecodableError) -> DataError:
        return DataError(f"{self.path}: {error.reason}: {error.detail}")
