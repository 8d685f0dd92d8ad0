"""Arrays in Parquet: one fixed-size binary column, its dtype and shape in the field's metadata.

Parquet shreds nested lists value by value; a binary value is copied whole, which reads ten times as fast.
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

from pipeline.core.errors import DataError
from pipeline.core.process import cores

GROUP_BYTES = 4 * 2**20  # what a writer holds: some 75 windows of a mel


def field(name: str, dtype: np.dtype | type, shape: Sequence[int]) -> pa.Field:
    """A column `name` whose every value is an array of this dtype and shape."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize or 1  # Parquet has no values of 0 bytes
    described = json.dumps({"dtype": dtype.str, "shape": list(map(int, shape))})
    return pa.field(name, pa.binary(size), nullable=False, metadata={"array": described})


def pack(values: np.ndarray) -> pa.Array:
    """(rows, *shape) as a column for `field`, sharing the array's memory where it is contiguous."""
    values = np.ascontiguousarray(values)
    if not np.prod(values.shape[1:]):
        return pa.array([b"\0"] * len(values), pa.binary(1))
    size = values[0].nbytes if len(values) else int(np.prod(values.shape[1:])) * values.itemsize
    return pa.Array.from_buffers(pa.binary(size), len(values), [None, pa.py_buffer(values)])


def described(schema: pa.Schema, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """dtype and shape of the values of an array column.

    Raises:
        DataError: the column is absent or holds no arrays.
    """
    if name not in schema.names or b"array" not in (schema.field(name).metadata or {}):
        raise DataError(f"no array column '{name}' among {', '.join(schema.names)}")
    found = json.loads(schema.field(name).metadata[b"array"])
    return np.dtype(found["dtype"]), tuple(found["shape"])


def unpack(table: pa.Table, name: str) -> np.ndarray:
    """The column as (rows, *shape); read-only and without a copy where the table has it in one piece.

    Raises:
        DataError: the column is absent or holds no arrays.
    """
    dtype, shape = described(table.schema, name)
    size = int(np.prod(shape))
    if not size:
        return np.empty((len(table), *shape), dtype)
    parts = []
    for chunk in table.column(name).chunks:
        flat = np.frombuffer(chunk.buffers()[1], dtype=dtype) if len(chunk) else np.empty(0, dtype)
        parts.append(flat[chunk.offset * size : (chunk.offset + len(chunk)) * size].reshape(-1, *shape))
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, *shape), dtype)


@dataclass(frozen=True)
class Group:
    """A row group: what is read at once."""

    path: Path
    number: int  # in its file
    first: int  # row of the whole
    rows: int


class Column:
    """The array column of several tables on disk: (rows, *shape), read as a whole or a row group at a time.

    Raises:
        DataError: a table is missing or damaged, here or when it is read, or they do not hold arrays of one dtype and
            shape.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self.groups: list[Group] = []
        kinds, rows = set(), 0
        for path in paths:
            with _opened(path) as file:
                kinds.add(described(file.schema_arrow, name))
                for number in range(file.num_row_groups):
                    self.groups.append(Group(path, number, rows, file.metadata.row_group(number).num_rows))
                    rows += self.groups[-1].rows
        if len(kinds) != 1:
            raise DataError(f"{paths[0].parent}: its tables differ in shape; run `dvc repro` to make them again")
        self.dtype, of_row = kinds.pop()
        self.shape = (rows, *of_row)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, number: int) -> np.ndarray:
        """The rows of a row group, which may be read-only."""
        group = self.groups[number]
        with _opened(group.path) as file:
            if group.number < file.num_row_groups:
                values = unpack(file.read_row_group(group.number, columns=[self.name], use_threads=False), self.name)
                if values.dtype == self.dtype and values.shape == (group.rows, *self.shape[1:]):
                    return values
        raise DataError(f"{group.path}: it changed while it was in use; run this again")

    def read_all(self) -> np.ndarray:
        """All rows, each row group copied to its place by a thread."""
        result = np.empty(self.shape, self.dtype)

        def copy(number: int) -> None:
            group = self.groups[number]
            result[group.first : group.first + group.rows] = self.read(number)

        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(copy, range(len(self.groups))))
        return result


@contextmanager
def _opened(path: Path, mapped: bool = False) -> Iterator[pq.ParquetFile]:
    """Mapped into memory, a file that another process cuts short would end this one."""
    try:
        with pq.ParquetFile(path, memory_map=mapped) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as Parquet ({reason}); run `dvc repro` to make it again") from error


class Writer:
    """A table that is written row by row, uncompressed, in row groups of some `GROUP_BYTES`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Mapping[str, Any]] = []
        self._held = 0
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._rows and kind is None:
            self._flush()
        if self._file:
            self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """One row: arrays, all of one shape in a column, and plain values."""
        self._rows.append(row)
        self._held += sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))
        if self._held >= GROUP_BYTES:
            self._flush()

    def set_metadata(self, key: str, text: str) -> None:
        """Put `text` into the table's metadata."""
        if self._rows:
            self._flush()
        assert self._file
        self._file.add_key_value_metadata({key: text})

    def _flush(self) -> None:
        columns = {name: [row[name] for row in self._rows] for name in self._rows[0]}
        arrays = {name: np.stack(values) for name, values in columns.items() if isinstance(values[0], np.ndarray)}
        group = table({name: values for name, values in columns.items() if name not in arrays}, arrays)
        self._file = self._file or pq.ParquetWriter(self._path, group.schema, compression="none", use_dictionary=False)
        self._file.write_table(group)
        self._rows, self._held = [], 0


def table(columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> pa.Table:
    """A table of plain `columns` (sequences) and `arrays` ((rows, *shape) each)."""
    plain = pa.table(columns)
    fields = list(plain.schema) + [field(name, a.dtype, a.shape[1:]) for name, a in arrays.items()]
    return pa.Table.from_arrays(plain.columns + [pack(a) for a in arrays.values()], schema=pa.schema(fields))


def write(path: Path, columns: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write `table(columns, arrays)`, uncompressed."""
    pq.write_table(table(columns, arrays), path, row_group_size=128, compression="none", use_dictionary=False)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The table at `path`, mapped into memory.

    Raises:
        DataError: there is no such table, or it is damaged.
    """
    with _opened(path, mapped=True) as file:
        return file.read(columns=columns)
