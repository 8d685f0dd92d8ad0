"""A cached split: its arrays as stored, and what is known of each row."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import workspace
from pipeline.cache import arrays
from pipeline.errors import DataError


@dataclass(frozen=True)
class Split:
    """Rows in order of window_id. `values` is (rows, *shape) as stored: float16 dB (mel) or int16 (waveform)."""

    kind: str
    values: np.ndarray
    window_ids: np.ndarray
    track_ids: np.ndarray
    labels: np.ndarray
    peak_db: np.ndarray | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one window."""
        return tuple(self.values.shape[1:])


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
    names = sorted(name for name in read_stats(folder)["shards"] if name.startswith(f"{split}-"))
    if not names:
        raise DataError(f"{folder}: the cache holds no split '{split}'")
    table = pa.concat_tables(arrays.read(folder / name) for name in names)
    kind = "mel" if "mel" in table.column_names else "waveform"
    return Split(
        kind=kind,
        values=arrays.unpack(table, kind),
        window_ids=table["window_id"].to_numpy(),
        track_ids=table["track_id"].to_numpy(),
        labels=table["label"].to_numpy(),
        peak_db=table["peak_db"].to_numpy() if "peak_db" in table.column_names else None,
    )
