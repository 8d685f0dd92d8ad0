"""A cached split: its arrays as stored, and what is known of each row."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import workspace
from pipeline.cache import arrays
from pipeline.errors import DataError

PLAIN = ["window_id", "track_id", "label", "peak_db", "length", "windows"]  # the last three where a shard has them


@dataclass(frozen=True)
class Split:
    """Rows in order of window_id. `values` is (rows, *row shape) as stored: float16 dB (mel) or int16 (waveform).

    A row is a window; or, in a train split of spans, `windows[i]` windows that lie within the first `lengths[i]` frames
    or samples of row i.
    """

    kind: str
    shape: tuple[int, ...]  # of one window
    values: np.ndarray
    window_ids: np.ndarray
    track_ids: np.ndarray
    labels: np.ndarray
    peak_db: np.ndarray | None = None
    lengths: np.ndarray | None = None
    windows: np.ndarray | None = None

    def __len__(self) -> int:
        """Windows."""
        return len(self.values) if self.windows is None else int(self.windows.sum())


def read_stats(folder: Path) -> dict[str, Any]:
    """stats.json of the representation in `folder`.

    Raises:
        DataError: there is none.
    """
    try:
        stats: dict[str, Any] = workspace.read_json(folder / "stats.json")
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: no usable stats.json ({error}); run `dvc repro cache` first") from error
    return stats


def read_split(folder: Path, split: str) -> Split:
    """All shards of a split, in memory.

    Raises:
        DataError: a shard is missing or damaged.
    """
    stats = read_stats(folder)
    files = [folder / name for name in sorted(stats["shards"]) if name.startswith(f"{split}-")]
    if not files:
        raise DataError(f"{folder}: the cache holds no split '{split}'")
    kind = stats["representation"]["kind"]
    table = pa.concat_tables(arrays.read(file, PLAIN) for file in files)
    known = {name: table[name].to_numpy().copy() for name in table.column_names}  # Arrow's own are read-only
    return Split(
        kind=kind,
        shape=tuple(stats["shape"]),
        values=arrays.gather(files, kind),
        window_ids=known["window_id"],
        track_ids=known["track_id"],
        labels=known["label"],
        peak_db=known.get("peak_db"),
        lengths=known.get("length"),
        windows=known.get("windows"),
    )
