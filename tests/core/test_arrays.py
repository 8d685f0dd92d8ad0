"""Arrays that are written to Parquet are read back unchanged."""

import numpy as np
import pytest

from pipeline.core import arrays
from pipeline.core.errors import DataError


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16"])
@pytest.mark.parametrize(("rows", "shape"), [(0, (3, 4)), (1, (5,)), (300, (3, 4)), (3, (0,))])
def test_round_trip(tmp_path, dtype, rows, shape):
    values = np.random.default_rng(0).normal(0, 100, (rows, *shape)).astype(dtype)
    arrays.write(tmp_path / "a.parquet", {"id": np.arange(rows)}, {"x": values})
    table = arrays.read(tmp_path / "a.parquet")
    result = arrays.unpack(table, "x")
    assert result.dtype == values.dtype and result.shape == values.shape
    np.testing.assert_array_equal(result, values)
    np.testing.assert_array_equal(table["id"].to_numpy(), np.arange(rows))


def test_a_slice_may_span_row_groups(tmp_path):
    values = np.arange(300 * 6, dtype=np.float32).reshape(300, 2, 3)
    arrays.write(tmp_path / "a.parquet", {"id": np.arange(300)}, {"x": values})
    table = arrays.read(tmp_path / "a.parquet").slice(100, 60)
    np.testing.assert_array_equal(arrays.unpack(table, "x"), values[100:160])


def test_a_plain_or_missing_column_is_no_array(tmp_path):
    arrays.write(tmp_path / "a.parquet", {"id": [1]}, {"x": np.zeros((1, 2), np.float32)})
    for name in ("id", "gone"):
        with pytest.raises(DataError, match=f"'{name}'"):
            arrays.unpack(arrays.read(tmp_path / "a.parquet"), name)


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"a\.parquet: damaged"):
        arrays.read(tmp_path / "a.parquet")
