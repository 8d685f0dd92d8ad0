"""The benchmarks run; what they measure is looked at, not tested."""

from benchmarks import caching, footprint, length, memory, reading
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


def test_the_transformer_trains_on_five_seconds_at_the_full_rate_in_8_gb():
    cell = length.measure("transformer", 5.0, 22050, steps=1)
    assert cell.samples == 110_250 and 100 < cell.memory < 8000  # MB
    rows = length.rows([length.Cell("transformer", 1.0, 3000, 50.0, 0.1, 1000), cell])
    assert [row.ours for row in rows] == [cell.memory, cell.time] and [row.theirs for row in rows] == [50.0, 0.1]
    assert "| 5 s at 22,050 Hz | 110,250 |" in length.table([cell])


def test_costs_over_length_are_drawn(tmp_path):
    cells = [length.Cell("transformer", 1.0, rate, 50.0, 0.1, 1000) for rate in length.RATES]
    length.draw(cells, tmp_path / "length.png")
    assert (tmp_path / "length.png").read_bytes().startswith(b"\x89PNG")


def test_the_estimate_before_a_training_is_near_its_peak():
    cell = footprint.measure("mel_conv", 32)
    assert 0.4 * cell.measured < cell.reckoned < 1.2 * cell.measured
