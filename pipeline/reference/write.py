"""The test windows as they were recorded: what every variant, whatever it sees of them, is measured against."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.audio.scale import FLOOR_DB, to_unit
from pipeline.cache.plan import Piece, plan
from pipeline.cache.shard import heard
from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.core.process import cores, map_ordered
from pipeline.dataset.split import read_split
from pipeline.metrics.config import same
from pipeline.metrics.predictors import mean_window
from pipeline.reference.examples import select_examples


def write(
    out: Path,
    windows: pd.DataFrame,
    tracks: pd.DataFrame,
    recordings: Path,
    mel: MelConfig,
    examples: int,
    listened: int,
    mean: np.ndarray,
) -> dict[str, Any]:
    """Make windows.parquet and examples.parquet in the folder `out`; what reference.json says.

    windows.parquet has a row for each test window, in order of window_id: window_id, track_id, label, group, peak_db,
    and the arrays mel, (bands, frames) float16, dB below the window's peak in [-80, 0], and mean_error, (bands,)
    float32, the mean squared error that `mean` makes of it on the scale [0, 1].

    examples.parquet has one for each window that is heard: example (its number where it is shown, else -1), window_id,
    track_id, label, start_seconds, and the array audio, (samples,) float32.

    Args:
        out: an empty folder.
        windows: windows.parquet.
        tracks: tracks.parquet.
        recordings: the folder that their paths are relative to.
        mel: the common log-mel.
        examples: windows that are shown.
        listened: windows that are heard, the examples among them.
        mean: (bands, frames) the mean predictor, in [0, 1]; NaN where it is not known.

    Raises:
        DataError: there is no test split, or a recording is not what stage windows saw.
    """
    test = windows[windows["split"] == "test"].sort_values("window_id", ignore_index=True)
    if test.empty:
        raise DataError("no window is in the split test: raise windows.splits.test, or add recordings")
    shown = select_examples(test["label"].to_numpy(), examples)
    chosen = select_examples(test["track_id"].to_numpy(), listened, shown.tolist())
    ids = test["window_id"].to_numpy()
    number = {int(ids[row]): -1 for row in chosen} | {int(ids[row]): n for n, row in enumerate(shown)}
    said = {row.window_id: row for row in test.itertuples(index=False)}
    pieces = [piece for shard in plan(test, tracks, mel) for piece in shard.pieces]
    with arrays.Writer(out / "windows.parquet") as table, arrays.Writer(out / "examples.parquet") as heard_table:
        for window_id, row, audio in _represented(pieces, mel, recordings, number):
            about = said[window_id]
            plain = {"window_id": window_id, "track_id": about.track_id, "label": about.label}
            unit = to_unit(row["mel"].astype(np.float32), "mel")
            error = np.square(unit - mean).mean(1, dtype=np.float64).astype(np.float32)
            table.add({**plain, "group": about.group, **row, "mean_error": error})
            if audio is not None:
                start = about.start_seconds
                heard_table.add({"example": number[window_id], **plain, "start_seconds": start, "audio": audio})
    return {
        "mel": mel.model_dump(include={"sample_rate", "n_fft", "hop_length", "bands"}),
        "seconds": float(test["seconds"].iloc[0]),
        "examples": ids[shown].tolist(),
        "heard": ids[chosen].tolist(),
        "labels": sorted(test["label"].unique()),
    }


def _represented(
    pieces: list[Piece], mel: MelConfig, recordings: Path, wanted: Mapping[int, int]
) -> Iterator[tuple[int, dict[str, Any], np.ndarray | None]]:
    """window_id, peak_db and mel of each window in order, with the audio of those that are wanted.

    A thread for each core: decoding, resampling and the Fourier transforms let others run.
    """
    log_mel = LogMel(mel.sample_rate, mel.n_fft, mel.hop_length, mel.bands)

    def read(piece: Piece) -> list[tuple[int, dict[str, Any], np.ndarray | None]]:
        found = []
        for row, audio in zip(piece.rows, heard(piece, mel.sample_rate, recordings), strict=True):
            db = log_mel(audio)
            peak = db.numpy().max()
            below = (db - float(peak)).clamp_min_(-FLOOR_DB).half().contiguous().numpy()
            kept = audio.copy() if row.window_id in wanted else None
            found.append((row.window_id, {"peak_db": peak, "mel": below}, kept))
        return found

    torch.set_num_threads(1)
    with ThreadPoolExecutor(cores()) as executor:
        for rows in map_ordered(executor, read, pieces):
            yield from rows


def mean_predictor(
    mel: MelConfig, representations: Mapping[str, RepresentationConfig], cache: Path, batch_size: int
) -> np.ndarray:
    """(bands, frames) mean of the train windows on the common log-mel, in [0, 1].

    It is known where a representation has the same settings; else it is one NaN, since train recordings are not decoded
    again for it.
    """
    for name, config in representations.items():
        if config.kind == "mel" and same(config, mel):
            return mean_window(read_split(cache / name, "train"), batch_size)[0].numpy()
    return np.full((1, 1), np.nan)
