"""Arrays in Parquet: a column of fixed-size binary values, with dtype and shape in the field's metadata.

Parquet reads nested lists number by number. It copies a binary value in one go, which is ten times as fast.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.artefacts import readable
from pipeline.core.errors import DataError
from pipeline.core.process import cores

ROW_GROUP_BYTES = 4 * 2**20  # about 75 mel windows


def pack(name: str, values: np.ndarray) -> tuple[pa.Field, pa.Array]:
    """(rows, *shape) as a column and its field; a contiguous array is not copied."""
    values = np.ascontiguousarray(values)
    shape = values.shape[1:]
    if size := math.prod(shape) * values.itemsize:
        column = pa.Array.from_buffers(pa.binary(size), len(values), [None, pa.py_buffer(values)])
    else:  # Parquet has no values of 0 bytes
        column = pa.array([b"\0"] * len(values), pa.binary(1))
    array = json.dumps({"dtype": values.dtype.str, "shape": shape})
    return pa.field(name, column.type, nullable=False, metadata={"array": array}), column


def array_type(schema: pa.Schema, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """dtype and shape of the values of an array column; DataError if there is no such column of arrays."""
    if name not in schema.names or b"array" not in (schema.field(name).metadata or {}):
        raise DataError(f"no array column '{name}' among {', '.join(schema.names)}")
    array = json.loads(schema.field(name).metadata[b"array"])
    return np.dtype(array["dtype"]), tuple(array["shape"])


def unpack(table: pa.Table, name: str) -> np.ndarray:
    """The array column as (rows, *shape); a column of one chunk is not copied, and is read-only."""
    dtype, shape = array_type(table.schema, name)
    size = int(np.prod(shape))
    if not size:
        return np.empty((len(table), *shape), dtype)
    parts = []
    for chunk in table.column(name).chunks:
        flat = np.frombuffer(chunk.buffers()[1], dtype=dtype) if len(chunk) else np.empty(0, dtype)
        parts.append(flat[chunk.offset * size : (chunk.offset + len(chunk)) * size].reshape(-1, *shape))
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, *shape), dtype)


@dataclass(frozen=True)
class RowGroup:
    """A row group of one of the files of a `Column`."""

    path: Path
    index: int  # number of the row group in its file
    start: int  # its first row in the column
    rows: int


class Column:
    """An array column of several Parquet files, (rows, *shape), read in full or by row group.

    DataError if a file is missing or damaged, now or when it is read, or if the files differ in dtype or shape.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self.groups: list[RowGroup] = []
        types, rows = [], 0
        for path in paths:
            with _open(path) as file:
                types.append(array_type(file.schema_arrow, name))
                if types[-1] != types[0]:
                    raise ValueError(f"{name} has another dtype or shape than in {paths[0].name}")
                for index in range(file.num_row_groups):
                    self.groups.append(RowGroup(path, index, rows, file.metadata.row_group(index).num_rows))
                    rows += self.groups[-1].rows
        self.dtype, row_shape = types[0]
        self.shape = (rows, *row_shape)

    @property
    def nbytes(self) -> int:
        """Size of all arrays in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, number: int) -> np.ndarray:
        """The rows of the row group `groups[number]`; the array may be read-only."""
        group = self.groups[number]
        with _open(group.path) as file:
            if group.index < file.num_row_groups:
                values = unpack(file.read_row_group(group.index, columns=[self.name], use_threads=False), self.name)
                if values.dtype == self.dtype and values.shape == (group.rows, *self.shape[1:]):
                    return values
        raise DataError(f"{group.path}: it changed while it was in use; run the command again")

    def read_all(self) -> np.ndarray:
        """All rows; threads read the row groups in parallel."""
        result = np.empty(self.shape, self.dtype)

        def copy(number: int) -> None:
            group = self.groups[number]
            result[group.start : group.start + group.rows] = self.read(number)

        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(copy, range(len(self.groups))))
        return result


@contextmanager
def _open(path: Path, memory_map: bool = False) -> Iterator[pq.ParquetFile]:
    """With `memory_map`, this process crashes if another one truncates the file."""
    with readable(path), pq.ParquetFile(path, memory_map=memory_map) as file:
        yield file


class Writer:
    """Write an uncompressed table row by row, in row groups of about `ROW_GROUP_BYTES`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Mapping[str, Any]] = []
        self._buffered_bytes = 0
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._rows and kind is None:
            self._flush()
        if self._file:
            self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of plain values and arrays; the arrays of a column have one shape."""
        self._rows.append(row)
        self._buffered_bytes += sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))
        if self._buffered_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def set_metadata(self, key: str, value: str) -> None:
        """Add an entry to the table's metadata; call it after at least one row."""
        if self._rows:
            self._flush()
        assert self._file
        self._file.add_key_value_metadata({key: value})

    def _flush(self) -> None:
        columns = {name: [row[name] for row in self._rows] for name in self._rows[0]}
        arrays = {name: np.stack(values) for name, values in columns.items() if isinstance(values[0], np.ndarray)}
        group = table({name: values for name, values in columns.items() if name not in arrays}, arrays)
        self._file = self._file or pq.ParquetWriter(self._path, group.schema, compression="none", use_dictionary=False)
        self._file.write_table(group)
        self._rows, self._buffered_bytes = [], 0


def table(columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> pa.Table:
    """A table of plain `columns` (sequences) and of `arrays` ((rows, *shape) each)."""
    plain = pa.table(columns)
    packed = [pack(name, values) for name, values in arrays.items()]
    schema = pa.schema([*plain.schema, *(field for field, _ in packed)])
    return pa.Table.from_arrays([*plain.columns, *(column for _, column in packed)], schema=schema)


def write(path: Path, columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write `table(columns, arrays)`, uncompressed."""
    pq.write_table(table(columns, arrays), path, row_group_size=128, compression="none", use_dictionary=False)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The table at `path`, mapped into memory; DataError if the file is missing or damaged."""
    with _open(path, memory_map=True) as file:
        return file.read(columns=columns)
