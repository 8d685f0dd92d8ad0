"""Write a cached split without audio."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core import arrays, workspace
from pipeline.dataset.split import Split, read_split

SHAPES = {"mel": (4, 10), "waveform": (30,)}
MAX_WINDOWS = 3  # of a span


def write(folder: Path, kind: str, shards: list[int], group: int, spans: bool = False, split: str = "train") -> Split:
    """Write shards of noise and read them as a split.

    Args:
        folder: of the cache.
        kind: mel or waveform.
        shards: rows of each shard.
        group: rows of a row group.
        spans: whether a row is a span of one to three windows, or a window.
        split: its name.
    """
    shape = SHAPES[kind]
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    number, names = 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "ROW_GROUP_BYTES", group * 2 * int(np.prod(shape)) * (MAX_WINDOWS if spans else 1))
        for rows in shards:
            names.append(f"{split}-{len(names):05d}.parquet")
            with arrays.Writer(folder / names[-1]) as writer:
                for _ in range(rows):
                    windows = 1 + number % MAX_WINDOWS if spans else 1
                    writer.add(_row(kind, number, windows if spans else None, rng))
                    number += windows
    stats = {"representation": {"kind": kind}, "shape": shape, "shards": dict.fromkeys(names, "")}
    workspace.write_json(folder / "stats.json", stats)
    return read_split(folder, split)


def _row(kind: str, number: int, windows: int | None, rng: np.random.Generator) -> dict:
    shape = SHAPES[kind]
    size = (*shape[:-1], shape[-1] * (MAX_WINDOWS if windows else 1))
    if kind == "mel":
        values = rng.uniform(-80, 0, size).astype(np.float16)
    else:
        values = rng.integers(-32767, 32767, size).astype(np.int16)
    row = {"window_id": number, "track_id": f"t{number // 5}", "label": "ab"[number % 2]}
    if kind == "mel":
        row["peak_db"] = np.float32(0)
    if windows:
        length = shape[-1] * windows
        values[..., length:] = -200 if kind == "mel" else 0
        row |= {"length": np.int32(length), "windows": np.int32(windows)}
    return row | {kind: values}
