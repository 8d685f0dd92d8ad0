"""Arrays in Parquet: one fixed-size binary column, its dtype and shape in the field's metadata.

Parquet shreds nested lists value by value; a binary value is copied whole, which reads ten times as fast.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError

ROWS_PER_GROUP = 128


def field(name: str, dtype: np.dtype | type, shape: Sequence[int]) -> pa.Field:
    """A column `name` whose every value is an array of this dtype and shape."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    described = json.dumps({"dtype": dtype.str, "shape": list(map(int, shape))})
    return pa.field(name, pa.binary(size), nullable=False, metadata={"array": described})


def pack(values: np.ndarray) -> pa.Array:
    """(rows, *shape) as a column for `field`, sharing the array's memory where it is contiguous."""
    values = np.ascontiguousarray(values)
    size = values[0].nbytes if len(values) else int(np.prod(values.shape[1:])) * values.itemsize
    return pa.Array.from_buffers(pa.binary(size), len(values), [None, pa.py_buffer(values)])


def unpack(table: pa.Table, name: str) -> np.ndarray:
    """The column as (rows, *shape); read-only and without a copy where the table has it in one piece.

    Raises:
        DataError: the column is absent or holds no arrays.
    """
    if name not in table.column_names or b"array" not in (table.schema.field(name).metadata or {}):
        raise DataError(f"no array column '{name}' among {', '.join(table.column_names)}")
    described = json.loads(table.schema.field(name).metadata[b"array"])
    dtype, shape = np.dtype(described["dtype"]), described["shape"]
    size = int(np.prod(shape))
    parts = []
    for chunk in table.column(name).chunks:
        flat = np.frombuffer(chunk.buffers()[1], dtype=dtype) if len(chunk) else np.empty(0, dtype)
        parts.append(flat[chunk.offset * size : (chunk.offset + len(chunk)) * size].reshape(-1, *shape))
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, *shape), dtype)


def write(path: Path, columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """A table of plain `columns` (sequences) and `arrays` ((rows, *shape) each), uncompressed, in row groups."""
    plain = pa.table(columns)
    fields = list(plain.schema) + [field(name, a.dtype, a.shape[1:]) for name, a in arrays.items()]
    data = plain.columns + [pack(a) for a in arrays.values()]
    table = pa.Table.from_arrays(data, schema=pa.schema(fields))
    pq.write_table(table, path, row_group_size=ROWS_PER_GROUP, compression="none", use_dictionary=False)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The table at `path`, mapped into memory.

    Raises:
        DataError: there is no such table, or it is damaged.
    """
    try:
        return pq.read_table(path, columns=columns, memory_map=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); run `dvc repro` to make it again") from error
