"""data/reference/, read: the test windows as recorded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.dataset.split import Split


@dataclass(frozen=True)
class Reference:
    """What `originals.write` left.

    Attributes:
        windows: window_id, track_id, label, group and peak_db of each test window.
        mel: (windows, bands, frames) float16, dB below each window's peak.
        mean_error: (windows, bands) what the mean predictor costs in each band.
        heard: (H,) rows of `windows` that are heard, in ascending order.
        examples: (H,) the number of each where it is shown, else -1.
        audio: (H, samples) float32 at the common rate.
    """

    windows: pd.DataFrame
    mel: np.ndarray
    mean_error: np.ndarray
    heard: np.ndarray
    examples: np.ndarray
    audio: np.ndarray

    def frame(self) -> pd.DataFrame:
        """window_id, track_id, label, group and mel_mse_mean of each window: what a table of scores begins with."""
        known = self.windows[["window_id", "track_id", "label", "group"]]
        return known.assign(mel_mse_mean=self.mean_error.mean(1, dtype=np.float64))

    @property
    def shown(self) -> np.ndarray:
        """Rows of `windows` that are shown, in order of their number."""
        return self.heard[self._order]

    @property
    def _order(self) -> np.ndarray:
        """Which of those that are heard are shown, in order of their number."""
        return np.argsort(self.examples)[np.count_nonzero(self.examples < 0) :]

    def save_audio(self, path: Path, audio: np.ndarray, **columns: str) -> None:
        """Write the shown ones of (H, samples) audio with example, window_id and `columns`, in order of example."""
        which = self._order
        numbers = {
            "example": self.examples[which],
            "window_id": self.windows["window_id"].to_numpy()[self.heard[which]],
        }
        same = {name: [value] * len(which) for name, value in columns.items()}
        arrays.write(path, numbers | same, {"audio": audio[which]})


def load(folder: Path, test: Split) -> Reference:
    """The reference of the windows of `test`.

    Raises:
        DataError: it is missing or damaged, or is of other windows.
    """
    table, heard = (arrays.read(folder / name) for name in ("windows.parquet", "examples.parquet"))
    windows = table.drop_columns(["mel", "mean_error"]).to_pandas()
    if not np.array_equal(windows["window_id"], test.window_ids):
        raise DataError(f"{folder}: it is of other test windows than the cache; run `dvc repro reference`")
    return Reference(
        windows,
        arrays.unpack(table, "mel"),
        arrays.unpack(table, "mean_error"),
        np.searchsorted(windows["window_id"], heard["window_id"].to_numpy()),
        heard["example"].to_numpy(),
        arrays.unpack(heard, "audio"),
    )
