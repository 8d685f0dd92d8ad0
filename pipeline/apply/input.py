"""Read an audio file of any sample rate, length and number of channels, just as stage cache reads recordings."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.apply.arguments import check_input
from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.recording import Recording, UndecodableError
from pipeline.audio.resample import resample_blocks
from pipeline.audio.scale import limit
from pipeline.core.errors import DataError, ParamsError
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import FULL_SHARE, window_problem

OnProgress = Callable[[Path, float, float | None], object]  # the file, the seconds read, its length if known


def ignore_progress(path: Path, seconds_read: float, seconds: float | None) -> None:
    """Show no progress."""


class InputRecording(Recording):
    """An open recording, which can be read once. Its windows of `window_seconds` are checked, as by stage windows.

    Raises:
        ParamsError: there is no such file.
        DataError: the file cannot be read or decoded, here or in `resampled_blocks`.
    """

    def __init__(self, path: Path, window_seconds: float, on_progress: OnProgress = ignore_progress) -> None:
        check_input(path)
        self.path, self._on_progress = path, on_progress
        self._problems = _Problems(WindowsConfig(seconds=window_seconds))
        try:
            super().__init__(path)
        except UndecodableError as error:
            raise self._data_error(error) from error

    @property
    def seconds_read(self) -> float:
        """Seconds read so far."""
        return self.samples / self.rate

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
        """Messages after the reading: what is missing or odd, in the words of stage windows."""
        missing = [self.missing.detail] if self.missing else []
        return [f"{self.path}: {note}" for note in (*missing, *self._problems.describe())]

    def _decoded_blocks(self) -> Iterator[np.ndarray]:
        try:
            for block in self.blocks():
                self._problems.add(block, self.rate)
                yield limit(block)
                self._on_progress(self.path, self.seconds_read, self.seconds)
        except UndecodableError as error:
            raise self._data_error(error) from error

    def _data_error(self, error: UndecodableError) -> DataError:
        return DataError(f"{self.path}: {error.reason}: {error.detail}")


class _Problems:
    """Finds the windows of a recording that stage windows would reject, with its default `silence_db`."""

    def __init__(self, config: WindowsConfig) -> None:
        self._config = config
        self._rest = np.empty(0, np.float32)
        self._rate = 0
        self._windows = 0
        self._starts: dict[str, list[int]] = {}  # by reason, numbers of windows
        self._details: dict[str, str] = {}  # by reason, of the first window

    def add(self, block: np.ndarray, rate: int) -> None:
        """Check the windows that `block`, (n,) samples at `rate`, completes."""
        self._rate, length = rate, round(self._config.seconds * rate)
        self._rest = np.concatenate([self._rest, block])
        while len(self._rest) >= length:
            self._check(self._rest[:length])
            self._rest = self._rest[length:]

    def describe(self) -> list[str]:
        """A line for each reason, in the words of stage windows."""
        if len(self._rest):
            self._check(self._rest)
        self._rest = self._rest[:0]
        seconds = self._config.seconds
        return [
            f"{len(starts)} of {self._windows} windows of {seconds:g} s are {reason}, the first at "
            f"{starts[0] * seconds:g} s: {self._details[reason]}"
            for reason, starts in self._starts.items()
        ]

    def _check(self, window: np.ndarray) -> None:
        problem = window_problem(window, self._config.silence_db)
        is_quiet_end = self._windows > 0 and len(window) < FULL_SHARE * self._config.seconds * self._rate
        if problem and not (is_quiet_end and problem[0] in ("silent", "constant") and problem[0] not in self._starts):
            reason, detail = problem
            self._starts.setdefault(reason, []).append(self._windows)
            self._details.setdefault(reason, detail)
        self._windows += 1
