"""Write data/reference/: the original test windows, against which every variant is scored."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.cache.plan import TrackRows, plan_shards
from pipeline.cache.shard import decode_rows
from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError
from pipeline.core.process import cores
from pipeline.dataset.loader import mean_window
from pipeline.dataset.split import read_split
from pipeline.metrics import embedding
from pipeline.metrics.config import EvaluateConfig


def write_reference(
    out: Path,
    windows: pd.DataFrame,
    tracks: pd.DataFrame,
    audio_folder: Path,
    cache: Path,
    mel: MelConfig,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    """Write windows.parquet, examples.parquet and reference.json into the folder `out`; the content of the last.

    windows.parquet has a row per test window, in order of window_id: window_id, track_id, label, group, peak_db, and
    the arrays mel, (bands, frames) float16, dB below the window's peak in [-80, 0], and mean_error, (bands,) float32,
    the mean squared error of the mean train window on the scale [0, 1].

    examples.parquet has a row per test window that is scored on audio: example (index of the example, else -1),
    window_id, track_id, label, start_seconds, and the array audio, (samples,) float32 at the rate of `mel`.

    `cache` is the folder of the common log-mel, the representation `mel`.

    Raises:
        DataError: there is no test window, the cache is of other windows, or a track differs from the file that
            stage `windows` read.
    """
    table = windows[windows["split"] == "test"].sort_values("window_id", ignore_index=True)
    if table.empty:
        raise DataError("no window is in the split test: raise windows.splits.test, or add recordings")
    test = read_split(cache, "test")
    if not np.array_equal(table["window_id"], test.window_ids):
        raise DataError(f"{cache}: it is of other test windows; run `dvc repro`")
    assert test.peak_db is not None
    mean = mean_window(read_split(cache, "train"), settings.batch_size)[0].numpy()
    with arrays.Writer(out / "windows.parquet") as writer:
        for row, peak_db, values in zip(table.itertuples(), test.peak_db, test.values, strict=True):
            unit = to_unit(values.astype(np.float32), "mel")
            error = np.square(unit - mean).mean(1, dtype=np.float64).astype(np.float32)
            plain = {"window_id": row.window_id, "track_id": row.track_id, "label": row.label, "group": row.group}
            writer.add({**plain, "peak_db": peak_db, "mel": values, "mean_error": error})
    example_rows = select_rows(table["label"].to_numpy(), settings.examples)
    audio_rows = select_rows(table["track_id"].to_numpy(), settings.audio_windows, example_rows.tolist())
    ids = table["window_id"].to_numpy()
    examples, scored_on_audio = ids[example_rows].tolist(), ids[audio_rows].tolist()
    indices = dict.fromkeys(scored_on_audio, -1) | {window_id: index for index, window_id in enumerate(examples)}
    with arrays.Writer(out / "examples.parquet") as writer:
        for track, decoded in decode_windows(table.iloc[audio_rows], tracks, mel, audio_folder):
            for window, audio in zip(track.rows, decoded, strict=True):
                plain = {"window_id": window.window_id, "track_id": track.track_id, "label": track.label}
                writer.add(
                    {"example": indices[window.window_id], **plain, "start_seconds": window.start, "audio": audio}
                )
    description = {
        "mel": mel.model_dump(include={"sample_rate", "n_fft", "hop_length", "bands"}),
        "seconds": float(table["seconds"].iloc[0]),
        "examples": examples,
        "audio_windows": scored_on_audio,
        "embedding": embedding.digest(settings.embedding),  # so that evaluations with another network are out of date
    }
    workspace.write_json(out / "reference.json", description)
    return description


def decode_windows(
    windows: pd.DataFrame, tracks: pd.DataFrame, representation: RepresentationConfig, audio_folder: Path
) -> Iterator[tuple[TrackRows, list[np.ndarray]]]:
    """Each recording of `windows` with its windows in order, (samples,) float32 at the rate of the representation.

    Raises:
        DataError: a track differs from the file that stage `windows` read.
    """
    with ThreadPoolExecutor(cores()) as executor:
        for shard in plan_shards(windows, tracks, representation):  # so the memory is bounded
            decoded = executor.map(
                lambda track: list(decode_rows(track, representation.sample_rate, audio_folder)), shard.tracks
            )
            yield from zip(shard.tracks, decoded, strict=True)


def select_rows(groups: np.ndarray, number: int, selected: Sequence[int] = ()) -> np.ndarray:
    """Indices of `number` windows (or of all, if there are fewer), from as many groups as possible.

    Each is from the middle of its group's rows. If every group has one, the rest are evenly spaced over all rows.
    `groups` is the label or the track of each window; `selected` indices are included. The result is ascending.
    """
    rows = list(selected)
    new_groups = np.setdiff1d(groups, groups[rows])
    for i in _evenly_spaced(len(new_groups), number - len(rows)):
        members = np.flatnonzero(groups == new_groups[i])
        rows.append(int(members[len(members) // 2]))
    rest = np.setdiff1d(np.arange(len(groups)), rows)
    return np.sort([*rows, *rest[_evenly_spaced(len(rest), number - len(rows))]]).astype(int)


def _evenly_spaced(size: int, number: int) -> np.ndarray:
    """Up to `number` indices below `size`."""
    number = min(max(0, number), size)
    return ((np.arange(number) + 0.5) * size / max(1, number)).astype(int)
