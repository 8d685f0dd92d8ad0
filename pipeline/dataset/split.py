"""A cached split: its arrays as stored, and the columns of its rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core import arrays
from pipeline.core.artefacts import read_json
from pipeline.core.errors import DataError

COLUMNS = ["window_id", "track_id", "label", "peak_db", "length", "windows"]  # the last three are optional


@dataclass(frozen=True)
class Split:
    """Rows in order of window_id: (rows, *row shape) as stored, float16 dB (mel) or int16 (waveform).

    A row is a window. In a train split with spans, row i holds `windows[i]` windows in its first `lengths[i]` frames or
    samples.
    """

    kind: str
    shape: tuple[int, ...]  # shape of one window
    stored: np.ndarray | arrays.Column  # a Column is on disk
    window_ids: np.ndarray
    track_ids: np.ndarray
    labels: np.ndarray
    peak_db: np.ndarray | None = None
    lengths: np.ndarray | None = None
    windows: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.window_ids) if self.windows is None else int(self.windows.sum())

    @cached_property
    def values(self) -> np.ndarray:
        """All rows; they stay in memory from the first use on."""
        return self.stored if isinstance(self.stored, np.ndarray) else self.stored.read_all()

    @property
    def is_loaded(self) -> bool:
        """Whether all rows are in memory."""
        return isinstance(self.stored, np.ndarray) or "values" in vars(self)

    @property
    def nbytes(self) -> int:
        """Size of the rows as stored, in bytes."""
        return self.stored.nbytes

    @property
    def groups(self) -> list[int]:
        """Rows of each row group, in order; a split in memory is one group."""
        if isinstance(self.stored, np.ndarray):
            return [len(self.stored)]
        return [group.rows for group in self.stored.groups]

    def cropped(self, length: int) -> "Split":
        """The same rows with as many windows, each of `length` frames or samples."""
        rows = len(self.window_ids)
        windows = np.ones(rows, np.int32) if self.windows is None else self.windows
        lengths = np.full(rows, self.shape[-1]) if self.lengths is None else self.lengths
        return replace(self, shape=(*self.shape[:-1], length), windows=windows, lengths=lengths)

    def select(self, rows: np.ndarray) -> "Split":
        """The given rows of a split without spans, in memory."""
        columns = {name: getattr(self, name) for name in ("window_ids", "track_ids", "labels", "peak_db")}
        chosen = {name: values[rows] for name, values in columns.items() if values is not None}
        return replace(self, stored=self.values[rows], **chosen)

    def read(self, group: int) -> np.ndarray:
        """The rows of a row group, read from disk on every call; DataError if its shard is missing or damaged."""
        return self.stored if isinstance(self.stored, np.ndarray) else self.stored.read(group)


def read_stats(folder: Path) -> dict[str, Any]:
    """stats.json of the representation in `folder`; DataError if it is missing or damaged."""
    stats: dict[str, Any] = read_json(folder / "stats.json")
    return stats


def read_split(folder: Path, split: str) -> Split:
    """A split of the representation in `folder`, its arrays on disk; DataError if a shard is missing or damaged."""
    stats = read_stats(folder)
    files = [folder / name for name in sorted(stats["shards"]) if name.startswith(f"{split}-")]
    if not files:
        raise DataError(f"{folder}: the cache holds no split '{split}'")
    kind = stats["representation"]["kind"]
    table = pa.concat_tables(arrays.read(file, COLUMNS) for file in files)
    columns = {name: table[name].to_numpy().copy() for name in table.column_names}  # Arrow's arrays are read-only
    return Split(
        kind=kind,
        shape=tuple(stats["shape"]),
        stored=arrays.Column(files, kind),
        window_ids=columns["window_id"],
        track_ids=columns["track_id"],
        labels=columns["label"],
        peak_db=columns.get("peak_db"),
        lengths=columns.get("length"),
        windows=columns.get("windows"),
    )
