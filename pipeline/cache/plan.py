"""Plan the shards of a representation. The plan follows from the windows alone, not from workers or the engine."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import pandas as pd

from pipeline.audio.representation import RepresentationConfig

MAX_SHARD_BYTES = 128 * 2**20  # a recording with more rows is split over shards
MIN_SHARD_BYTES = 4 * 2**20
MIN_SHARDS = 64  # unless they would be below MIN_SHARD_BYTES: enough for many workers
TOLERANCE_SECONDS = 1e-6


@dataclass(frozen=True)
class Row:
    """A window, or a span of several consecutive windows of the train split."""

    window_id: int  # id of the first window
    start: float  # seconds
    seconds: float
    windows: int


@dataclass(frozen=True)
class TrackRows:
    """Rows of one recording, in order."""

    path: str  # below the folder of the recordings
    track_id: str
    label: str
    rows: tuple[Row, ...]
    bytes: int | None = None  # size of the file at stage `download`


@dataclass(frozen=True)
class Shard:
    """One file of the cache."""

    name: str
    split: str
    row_seconds: float  # capacity of a row
    tracks: tuple[TrackRows, ...]

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return sum(len(track.rows) for track in self.tracks)


def plan_shards(windows: pd.DataFrame, tracks: pd.DataFrame, config: RepresentationConfig) -> list[Shard]:
    """All shards of a representation, from windows.parquet and tracks.parquet.

    Shards come split by split, rows in order of window_id.
    """
    files = tracks.set_index("track_id")[["path", "bytes"]].to_dict("index")
    hop = float(windows.groupby("track_id")["start_seconds"].diff().abs().min())  # NaN: no recording has two windows
    by_split: dict[str, list[TrackRows]] = {}
    for _, group in windows.sort_values("window_id").groupby(["split", "track_id"], sort=False):
        split, track_id, label = (str(group[name].iloc[0]) for name in ("split", "track_id", "label"))
        rows = tuple(join_windows(group, config.train_span_seconds if split == "train" else None, hop))
        path, size = files[track_id]["path"], files[track_id]["bytes"]
        track = TrackRows(path, track_id, label, rows, None if pd.isna(size) else int(size))
        by_split.setdefault(split, []).append(track)
    row_seconds = {
        split: max(row.seconds for track in items for row in track.rows) for split, items in by_split.items()
    }
    row_bytes = {split: 2 * prod(config.shape(seconds)) for split, seconds in row_seconds.items()}
    total_bytes = sum(row_bytes[split] * len(track.rows) for split, items in by_split.items() for track in items)
    shard_bytes = min(MAX_SHARD_BYTES, max(MIN_SHARD_BYTES, total_bytes // MIN_SHARDS))
    shards = []
    for split in sorted(by_split):
        limits = shard_bytes // row_bytes[split], MAX_SHARD_BYTES // row_bytes[split]
        for number, packed in enumerate(_pack(by_split[split], *limits)):
            shards.append(Shard(f"{split}-{number:05d}.parquet", split, row_seconds[split], tuple(packed)))
    return shards


def join_windows(windows: pd.DataFrame, max_seconds: float | None, hop: float) -> list[Row]:
    """Rows of one recording: single windows, or spans of consecutive windows if `max_seconds` is given.

    A rejected window or a gap ends a span, so every crop of a span lies where windows are usable. Consecutive windows
    start `hop` seconds apart.
    """
    rows: list[Row] = []
    previous_start = 0.0
    for window_id, start, seconds in windows[["window_id", "start_seconds", "seconds"]].itertuples(index=False):
        row = Row(int(window_id), float(start), float(seconds), 1)
        is_adjacent = bool(rows) and row.start - previous_start <= min(hop, seconds) + TOLERANCE_SECONDS
        previous_start = row.start
        if max_seconds and is_adjacent:
            span = rows[-1]
            joined = Row(span.window_id, span.start, row.start + row.seconds - span.start, span.windows + 1)
            if joined.seconds <= max_seconds + TOLERANCE_SECONDS:
                rows[-1] = joined
                continue
        rows.append(row)
    return rows


def _pack(tracks: list[TrackRows], target_rows: int, max_rows: int) -> Iterator[list[TrackRows]]:
    """Group consecutive tracks into about `target_rows` rows; a track above `max_rows` is cut."""
    max_rows = max(1, max_rows)
    packed: list[TrackRows] = []
    count = 0
    for track in tracks:
        for first in range(0, len(track.rows), max_rows):
            part = replace(track, rows=track.rows[first : first + max_rows])
            if packed and (count >= target_rows or count + len(part.rows) > max_rows):
                yield packed
                packed, count = [], 0
            packed.append(part)
            count += len(part.rows)
    if packed:
        yield packed
