"""Recordings to Parquet shards of one representation, with the statistics of its train split."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline import workspace
from pipeline.audio.decode import UndecodableError, cut, decode, resample
from pipeline.audio.mel import LogMel
from pipeline.audio.scale import INT16_PEAK, to_unit
from pipeline.cache import arrays
from pipeline.cache.config import MelConfig, RepresentationConfig, samples
from pipeline.errors import DataError
from pipeline.runtime import ordered
from pipeline.sources.config import SPLITS

SHARD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Recording:
    """One track with its usable windows, in order."""

    path: Path
    track_id: str
    label: str
    split: str
    window_ids: tuple[int, ...]
    starts: tuple[float, ...]


@dataclass
class Statistics:
    """Running mean and standard deviation on the scale that models see, per mel band or of all samples."""

    axes: tuple[int, ...]
    count: int = 0
    total: np.ndarray | float = 0.0
    square: np.ndarray | float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Take in (rows, *shape) float64."""
        self.total = self.total + values.sum(axis=self.axes)
        self.square = self.square + np.square(values).sum(axis=self.axes)
        self.count += int(np.prod([values.shape[a] for a in self.axes]))

    def result(self) -> dict[str, Any]:
        """`mean` and `std`: a list over bands, or a number."""
        mean = self.total / self.count
        variance = np.maximum(self.square / self.count - np.square(mean), 0)
        return {"mean": np.asarray(mean).tolist(), "std": np.sqrt(variance).tolist()}


def recordings(windows: pd.DataFrame, tracks: pd.DataFrame, root: Path) -> list[Recording]:
    """The tracks that have windows, by split and then by window_id, which is the order of the shards."""
    paths = tracks.set_index("track_id")["path"]
    found = []
    for (split, _), rows in windows.groupby(["split", "track_id"], sort=False):
        first = rows.iloc[0]
        ids, starts = tuple(map(int, rows["window_id"])), tuple(map(float, rows["start_seconds"]))
        found.append(Recording(root / paths[first.track_id], first.track_id, first.label, str(split), ids, starts))
    return sorted(found, key=lambda r: (r.split, r.window_ids[0]))


@cache
def _log_mel(config: MelConfig) -> LogMel:
    torch.set_num_threads(1)  # there is a process for each core
    return LogMel(config.sample_rate, config.n_fft, config.hop_length, config.bands)


def represent(recording: Recording, config: RepresentationConfig, seconds: float) -> dict[str, np.ndarray]:
    """Decode a recording once and compute all its windows.

    Returns:
        "mel": (windows, bands, frames) float16, dB below each window's peak, and "peak_db": (windows,) float32;
        or "waveform": (windows, samples) int16.

    Raises:
        DataError: the file is not what stage windows saw.
    """
    try:
        audio, rate = decode(recording.path)
    except UndecodableError as error:
        raise DataError(f"{recording.path}: {error}; it changed since stage windows, run `dvc repro` again") from error
    audio = resample(audio, rate, config.sample_rate)
    length = samples(seconds, config.sample_rate)
    cuts = [cut(audio, samples(start, config.sample_rate), length) for start in recording.starts]
    if config.kind == "waveform":
        return {"waveform": np.stack([np.rint(c.clip(-1, 1) * INT16_PEAK).astype(np.int16) for c in cuts])}
    mels, peaks = zip(*(_log_mel(config)(c) for c in cuts), strict=True)
    return {"mel": np.stack(mels).astype(np.float16), "peak_db": np.array(peaks, np.float32)}


def build(
    chosen: list[Recording], config: RepresentationConfig, seconds: float, out: Path, executor: Executor
) -> dict[str, Any]:
    """Write every shard and stats.json into `out`; the bytes do not depend on the number of workers.

    Returns:
        What stats.json holds: the representation, seconds of a window, windows per split, sha256 of each shard, mean
        and std of the train split.
    """
    statistics = Statistics((0, 2) if config.kind == "mel" else (0, 1))
    shards, counts = {}, dict.fromkeys(SPLITS, 0)
    rows = max(1, SHARD_BYTES // (2 * int(np.prod(config.shape(seconds)))))
    task = partial(represent, config=config, seconds=seconds)
    number = 0
    for shard in _shards(zip(chosen, ordered(executor, task, chosen), strict=True), rows):
        number = number + 1 if counts[shard.split] else 0
        counts[shard.split] += shard.size
        path = out / f"{shard.split}-{number:05d}.parquet"
        values = shard.write(path)
        shards[path.name] = workspace.sha256(path)
        if shard.split == "train":
            for part in np.array_split(values, max(1, len(values) // 64)):
                statistics.add(to_unit(part.astype(np.float64), config.kind))
    seen = {"representation": config.model_dump(), "seconds": seconds}
    result = {**seen, "windows": counts, "shards": shards, **statistics.result()}
    workspace.write_json(out / "stats.json", result)
    return result


@dataclass
class _Shard:
    """Rows gathered for one file."""

    split: str
    size: int = 0
    columns: dict[str, Any] = field(default_factory=lambda: {"window_id": [], "track_id": [], "label": []})
    arrays: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, recording: Recording, values: dict[str, np.ndarray]) -> None:
        """Append all windows of a recording."""
        number = len(recording.window_ids)
        self.columns["window_id"] += recording.window_ids
        self.columns["track_id"] += [recording.track_id] * number
        self.columns["label"] += [recording.label] * number
        for name, array in values.items():
            self.arrays.setdefault(name, []).append(array)
        self.size += number

    def write(self, path: Path) -> np.ndarray:
        """Write the file; the windows' array is returned for the statistics."""
        whole = {name: np.concatenate(parts) for name, parts in self.arrays.items()}
        peak = {"peak_db": whole.pop("peak_db")} if "peak_db" in whole else {}
        arrays.write(path, self.columns | peak, whole)
        return next(iter(whole.values()))


def _shards(done: Iterable[tuple[Recording, dict[str, np.ndarray]]], rows: int) -> Iterator[_Shard]:
    """Gather recordings, in their order, into shards of one split with at least `rows` windows each but the last."""
    shard: _Shard | None = None
    for recording, values in done:
        if shard and (shard.split != recording.split or shard.size >= rows):
            yield shard
            shard = None
        shard = shard or _Shard(recording.split)
        shard.add(recording, values)
    if shard:
        yield shard
