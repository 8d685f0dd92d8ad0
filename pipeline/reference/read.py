"""Read data/reference/: the original test windows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.audio.representation import MelConfig
from pipeline.core import arrays
from pipeline.core.artefacts import read_json, readable
from pipeline.core.errors import DataError


@dataclass(frozen=True)
class Reference:
    """The files of `write_reference`."""

    mel_config: MelConfig  # config of the common log-mel
    windows: pd.DataFrame  # window_id, track_id, label, group and peak_db of each test window
    mel: np.ndarray  # (windows, bands, frames) float16, dB below each window's peak
    mean_error: np.ndarray  # (windows, bands) squared error of the mean predictor
    audio_rows: np.ndarray  # (H,) rows of `windows` that are scored on audio, ascending
    examples: np.ndarray  # (H,) index of the example of each audio row, else -1
    audio: np.ndarray  # (H, samples) float32 at the common rate

    def score_table(self) -> pd.DataFrame:
        """The first columns of a table of scores: window_id, track_id, label, group and mel_mse_mean."""
        keys = self.windows[["window_id", "track_id", "label", "group"]]
        return keys.assign(mel_mse_mean=self.mean_error.mean(1, dtype=np.float64))

    @property
    def example_rows(self) -> np.ndarray:
        """Rows of `windows` that are examples, in order of their index."""
        return self.audio_rows[self._example_order]

    @property
    def _example_order(self) -> np.ndarray:
        """Indices of the examples in `audio_rows`, in order of their index."""
        return np.argsort(self.examples)[np.count_nonzero(self.examples < 0) :]

    def write_examples(self, path: Path, audio: np.ndarray) -> None:
        """Write the examples of `audio` (H, samples) with example and window_id."""
        index = self._example_order
        plain = {"example": self.examples[index], "window_id": self.windows["window_id"].to_numpy()[self.example_rows]}
        arrays.write(path, plain, {"audio": audio[index]})


def read_reference(folder: Path, window_ids: np.ndarray) -> Reference:
    """The reference of the test windows with these ids.

    Raises:
        DataError: it is missing, damaged, or of other windows.
    """
    table, audio = (arrays.read(folder / name) for name in ("windows.parquet", "examples.parquet"))
    path = folder / "reference.json"
    with readable(path):
        mel_config = MelConfig.model_validate(read_json(path)["mel"])
    windows = table.drop_columns(["mel", "mean_error"]).to_pandas()
    if not np.array_equal(windows["window_id"], window_ids):
        raise DataError(f"{folder}: it is of other test windows than the cache; run `dvc repro reference`")
    return Reference(
        mel_config,
        windows,
        arrays.unpack(table, "mel"),
        arrays.unpack(table, "mean_error"),
        np.searchsorted(windows["window_id"], audio["window_id"].to_numpy()),
        audio["example"].to_numpy(),
        arrays.unpack(audio, "audio"),
    )
