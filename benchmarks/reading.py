"""Reading the cache into a tensor: against raw bytes, and against Parquet's own column type for arrays."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.measure import Row, compare
from pipeline.core import arrays

WINDOWS, SHAPE, SHARDS = 3000, (128, 216), 16


def rows() -> list[Row]:
    """3,000 mel windows (166 MB) in 16 shards, in the page cache."""
    values = np.random.default_rng(0).standard_normal((WINDOWS, *SHAPE), np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = [folder / f"{number:02d}.parquet" for number in range(SHARDS)]
        for path, part in zip(shards, np.array_split(values, SHARDS), strict=True):
            with arrays.Writer(path) as writer:
                for value in part:
                    writer.add({"mel": value})
        values.tofile(folder / "raw")
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(np.prod(SHAPE)))
        pq.write_table(pa.table({"mel": flat}), folder / "list.parquet", compression="none", row_group_size=128)

        def from_list_column() -> torch.Tensor:
            column = pd.read_parquet(folder / "list.parquet")["mel"]
            return torch.from_numpy(np.stack(column.tolist()).reshape(-1, *SHAPE))

        def ours() -> torch.Tensor:
            return torch.from_numpy(arrays.Column(shards, "mel").read_all())

        def raw() -> torch.Tensor:
            return torch.from_numpy(np.fromfile(folder / "raw", np.float16).reshape(-1, *SHAPE))

        assert torch.equal(ours(), raw()) and torch.equal(ours(), from_list_column())
        what = f"{WINDOWS:,} mel windows from {SHARDS} shards to a tensor"
        return [
            compare(what, ours, "numpy.fromfile of the same bytes", raw),
            compare(what, ours, "a FixedSizeList column through pandas", from_list_column, rounds=3),
        ]
