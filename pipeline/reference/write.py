"""Write data/reference/: the original test windows, against which every variant is scored."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.cache.plan import TrackRows, plan_shards
from pipeline.cache.shard import decode_rows
from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError
from pipeline.core.process import cores
from pipeline.dataset.loader import mean_window
from pipeline.dataset.split import read_split, read_stats
from pipeline.metrics import embedding
from pipeline.metrics.aggregate import aggregate
from pipeline.metrics.config import EvaluateConfig
from pipeline.metrics.probe import MAX_TRAIN_WINDOWS, probe, read_rows, statistics
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import read_reference

CEILING_BATCH_SIZE = 64


def write_reference(
    out: Path,
    windows: pd.DataFrame,
    tracks: pd.DataFrame,
    audio_folder: Path,
    cache: Path,
    mel: MelConfig,
    settings: EvaluateConfig,
) -> dict[str, Any]:
    """Write windows.parquet and examples.parquet into the folder `out`; the content of reference.json.

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
    audio_rows = select_rows(table["track_id"].to_numpy(), settings.heard, example_rows.tolist())
    ids = table["window_id"].to_numpy()
    examples, scored_on_audio = ids[example_rows].tolist(), ids[audio_rows].tolist()
    indices = dict.fromkeys(scored_on_audio, -1) | {window_id: index for index, window_id in enumerate(examples)}
    track_rows = [track for shard in plan_shards(table.iloc[audio_rows], tracks, mel) for track in shard.tracks]
    _write_audio(out / "examples.parquet", track_rows, mel.sample_rate, audio_folder, indices)
    return {
        "mel": mel.model_dump(include={"sample_rate", "n_fft", "hop_length", "bands"}),
        "seconds": float(table["seconds"].iloc[0]),
        "examples": examples,
        "heard": scored_on_audio,
        "labels": sorted(table["label"].unique()),
    }


def _write_audio(path: Path, tracks: list[TrackRows], rate: int, audio_folder: Path, indices: dict[int, int]) -> None:
    with ThreadPoolExecutor(cores()) as executor, arrays.Writer(path) as writer:
        decoded = executor.map(lambda track: list(decode_rows(track, rate, audio_folder)), tracks)
        for track, windows in zip(tracks, decoded, strict=True):
            for row, audio in zip(track.rows, windows, strict=True):
                plain = {"window_id": row.window_id, "track_id": track.track_id, "label": track.label}
                writer.add({"example": indices[row.window_id], **plain, "start_seconds": row.start, "audio": audio})


def write_ceiling(
    folder: Path,
    out: Path,
    cache: Path,
    tracks: pd.DataFrame,
    representation: RepresentationConfig,
    settings: EvaluateConfig,
    inversion: Inversion | None,
) -> None:
    """Score the true test windows of a representation as a perfect reconstruction would be.

    Its probes get the `statistics` of the true windows, where those of a variant get latents. Write metrics.json,
    windows.parquet, bands.parquet and examples.parquet into the new folder `out`.

    Raises:
        DataError: the reference in `folder` is of other windows than the representation in `cache`.
    """
    test = read_split(cache, "test")
    reference = read_reference(folder, test)
    scorer = CommonScorer(reference, representation, read_stats(cache)["seconds"], inversion)
    for rows in np.array_split(np.arange(len(test)), -(-len(test) // CEILING_BATCH_SIZE)):
        stored = torch.from_numpy(test.values[rows]).float()
        scorer.add(to_unit(stored, test.kind), None if test.peak_db is None else test.peak_db[rows])
    scores = scorer.finish()
    cpu = torch.device("cpu")
    train_rows = read_rows(read_split(cache, "train"), tracks, statistics, settings.batch_size, cpu, MAX_TRAIN_WINDOWS)
    probed = probe(train_rows, read_rows(test, tracks, statistics, settings.batch_size, cpu))
    table = reference.score_table().assign(**scores.windows, **probed.windows)
    out.mkdir(parents=True)
    bands = scorer.bands.table(scores.errors, reference.mean_error, table["track_id"].to_numpy())
    bands.to_parquet(out / "bands.parquet", index=False)
    table.to_parquet(out / "windows.parquet", index=False)
    embed = embedding.load(settings.embedding, reference.mel_config.sample_rate)
    metrics = {
        **aggregate(table.assign(seed=0), settings.bootstrap),
        **embedding.score(embed, scores.audio, reference.audio),
        **probed.numbers,
        "ceiling": True,
        "reach_hz": scorer.bands.reach_hz,
        "tracks": table["track_id"].nunique(),
        "groups": table["group"].nunique(),
        "windows": len(table),
    }
    workspace.write_json(out / "metrics.json", metrics)
    reference.write_examples(out / "examples.parquet", scores.audio)


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
