"""The benchmarks run; what they measure is looked at, not tested."""

from benchmarks import caching, memory, reading
from benchmarks.measure import Row, table


def test_benchmarks_run_on_little(monkeypatch):
    monkeypatch.setattr(caching, "CLIPS", 6)
    monkeypatch.setattr(reading, "WINDOWS", 32)
    rows = [*caching.rows(), *reading.rows()]
    assert all(row.ours > 0 and row.theirs > 0 for row in rows) and len(table(rows).splitlines()) == 2 + len(rows)


def test_peak_memory_is_of_the_process_itself():
    assert 200 < memory.peak(6, 10.0) < 3000  # MB


def test_ratio_says_how_many_times_as_much_the_reference_takes():
    assert Row("a", 2.0, "b", 6.0).ratio == 3
