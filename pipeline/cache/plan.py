"""Which rows stand in which shard. It follows from the windows alone, so that no worker count or engine changes it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import pandas as pd

from pipeline.audio.representation import RepresentationConfig

LARGEST = 128 * 2**20  # bytes of a shard; only there is a recording split in two
SMALLEST = 4 * 2**20
AT_LEAST = 64  # shards, where they are not below SMALLEST: enough for many workers, and little is lost with one


@dataclass(frozen=True)
class Row:
    """A window, or a span that covers several consecutive windows of the train split."""

    window_id: int  # the first one's
    start: float  # seconds
    seconds: float
    windows: int


@dataclass(frozen=True)
class Piece:
    """Rows of one recording, in order."""

    path: str  # below the folder of the recordings
    track_id: str
    label: str
    rows: tuple[Row, ...]
    frames: int | None = None  # samples per channel, as stage download saw them


@dataclass(frozen=True)
class Shard:
    """One file of the cache."""

    name: str
    split: str
    seconds: float  # that a row has room for
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Rows."""
        return sum(len(piece.rows) for piece in self.pieces)


def plan(windows: pd.DataFrame, tracks: pd.DataFrame, config: RepresentationConfig) -> list[Shard]:
    """Every shard of a representation: split by split, rows in order of window_id.

    Args:
        windows: windows.parquet.
        tracks: tracks.parquet, for the paths.
        config: kind and rate, which decide how much fits a shard, and the span of train rows.
    """
    known = tracks.set_index("track_id")[["path", "frames"]].to_dict("index")
    hop = float(windows.groupby("track_id")["start_seconds"].diff().abs().min())  # NaN where no recording has two
    pieces: dict[str, list[Piece]] = {}
    for _, group in windows.sort_values("window_id").groupby(["split", "track_id"], sort=False):
        split, track_id, label = (str(group[name].iloc[0]) for name in ("split", "track_id", "label"))
        limit = config.train_span_seconds if split == "train" else None
        path, frames = known[track_id]["path"], known[track_id]["frames"]
        rows = tuple(spans(group, limit, hop))
        whole = Piece(path, track_id, label, rows, None if pd.isna(frames) else int(frames))
        pieces.setdefault(split, []).append(whole)
    longest = {split: max(row.seconds for piece in found for row in piece.rows) for split, found in pieces.items()}
    row_bytes = {split: 2 * prod(config.shape(seconds)) for split, seconds in longest.items()}
    total = sum(row_bytes[split] * len(piece.rows) for split, found in pieces.items() for piece in found)
    target = min(LARGEST, max(SMALLEST, total // AT_LEAST))
    return [
        Shard(f"{split}-{number:05d}.parquet", split, longest[split], tuple(packed))
        for split in sorted(pieces)
        for number, packed in enumerate(_pack(pieces[split], target // row_bytes[split], LARGEST // row_bytes[split]))
    ]


def spans(windows: pd.DataFrame, limit: float | None, hop: float) -> Iterator[Row]:
    """Rows of one recording: each window by itself, or joined with those that follow it up to `limit` seconds.

    A rejected window, or a gap between windows, ends a span: every crop of it lies where windows were usable.

    Args:
        windows: of the recording, in order.
        limit: None for rows of one window.
        hop: seconds from a window's start to the next one's, where none was rejected.
    """
    slack = 1e-6
    rows: list[Row] = []
    before = 0.0
    for window_id, start, seconds in windows[["window_id", "start_seconds", "seconds"]].itertuples(index=False):
        row = Row(int(window_id), float(start), float(seconds), 1)
        last = rows[-1] if rows and limit is not None and row.start - before <= min(hop, seconds) + slack else None
        before = row.start
        if last and limit and row.start + row.seconds - last.start <= limit + slack:
            rows[-1] = Row(last.window_id, last.start, row.start + row.seconds - last.start, last.windows + 1)
        else:
            rows.append(row)
    yield from rows


def _pack(pieces: list[Piece], enough: int, most: int) -> Iterator[list[Piece]]:
    """Consecutive pieces, together some `enough` rows and never over `most`, for which a piece is cut."""
    packed: list[Piece] = []
    size = 0
    for piece in pieces:
        for first in range(0, len(piece.rows), max(1, most)):
            part = replace(piece, rows=piece.rows[first : first + max(1, most)])
            if packed and (size >= enough or size + len(part.rows) > most):
                yield packed
                packed, size = [], 0
            packed.append(part)
            size += len(part.rows)
    if packed:
        yield packed
