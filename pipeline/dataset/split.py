"""A cached split: its arrays as stored, and what is known of each row."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError

PLAIN = ["window_id", "track_id", "label", "peak_db", "length", "windows"]  # the last three where a shard has them


@dataclass(frozen=True)
class Split:
    """Rows in order of window_id: (rows, *row shape) as stored, float16 dB (mel) or int16 (waveform).

    A row is a window; or, in a train split of spans, `windows[i]` windows that lie within the first `lengths[i]` frames
    or samples of row i.
    """

    kind: str
    shape: tuple[int, ...]  # of one window
    stored: np.ndarray | arrays.Column  # in memory, or on disk
    window_ids: np.ndarray
    track_ids: np.ndarray
    labels: np.ndarray
    peak_db: np.ndarray | None = None
    lengths: np.ndarray | None = None
    windows: np.ndarray | None = None

    def __len__(self) -> int:
        """Windows."""
        return len(self.window_ids) if self.windows is None else int(self.windows.sum())

    @cached_property
    def values(self) -> np.ndarray:
        """All rows, in memory from the first use on."""
        return self.stored if isinstance(self.stored, np.ndarray) else self.stored.read_all()

    @property
    def loaded(self) -> bool:
        """Whether they are in memory already."""
        return isinstance(self.stored, np.ndarray) or "values" in vars(self)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows as stored."""
        return self.stored.nbytes

    @property
    def groups(self) -> list[int]:
        """Rows of each row group, in order; what is in memory is one."""
        if isinstance(self.stored, np.ndarray):
            return [len(self.stored)]
        return [group.rows for group in self.stored.groups]

    def read(self, group: int) -> np.ndarray:
        """The rows of one row group, from disk each time.

        Raises:
            DataError: its shard is gone, damaged or another one.
        """
        return self.stored if isinstance(self.stored, np.ndarray) else self.stored.read(group)


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
    """A split with what is known of its rows; their arrays stay on disk until they are asked for.

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
        stored=arrays.Column(files, kind),
        window_ids=known["window_id"],
        track_ids=known["track_id"],
        labels=known["label"],
        peak_db=known.get("peak_db"),
        lengths=known.get("length"),
        windows=known.get("windows"),
    )
