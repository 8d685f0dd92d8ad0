"""The benchmarks run; what they measure is looked at, not tested."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import caching, footprint, length, memory, reading, results
from benchmarks.measure import Row, compare, table
from benchmarks.training import bare, first, usual, utilisation, waiting
from benchmarks.training import study as studies
from benchmarks.training.study import Study
from benchmarks.windows import on_disk
from pipeline.core import params
from tests.e2e.conftest import TINY, merged


def test_benchmarks_run_on_little(monkeypatch):
    monkeypatch.setattr(caching, "CLIPS", 6)
    monkeypatch.setattr(reading, "WINDOWS", 32)
    for module in (caching, reading):
        monkeypatch.setattr(module, "compare", partial(compare, rounds=1))
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


CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.of("wave_fc", 3, CPU, epochs=2)


def test_training_is_compared_with_the_usual_way_and_with_bare_steps(study, monkeypatch):
    for module in (usual, bare, studies):
        monkeypatch.setattr(module, "TURN", 2)
    rows = [*usual.measure(study), bare.measure(study)]
    assert ["log_metric" in row.reference for row in rows] == [False, True, False]
    assert all(row.ours > 0 and row.theirs > 0 for row in rows)


def test_the_usual_way_reads_the_windows_of_the_study(study, tmp_path):
    files = usual.Files(usual.save(study, tmp_path))
    assert len(files) == len(study.train) == 3 * study.settings.batch_size
    assert files[5].shape == (1, *study.train.shape) and 0.1 < files[5].abs().max() <= 1


def test_a_wait_for_batches_is_part_of_the_steps(study, tmp_path):
    streamed = replace(study, train=on_disk(study.train, tmp_path))
    streamed = replace(streamed, settings=study.settings.model_copy(update={"resident_gib": 0.0}))
    for each in (study, streamed):
        whole, wait = waiting.measure(each)
        assert 0 < wait < whole


def test_the_first_step_is_timed_apart():
    assert min(first.measure("wave_fc")) > 0


def test_use_of_a_device_is_measured_at_its_best_batch_size():
    speed = utilisation.best("wave_fc", CPU, (2, 4))
    model, _ = Study.of("wave_fc", 1, CPU).untrained()
    # Forward and backward pass of linear layers: at least six operations for each weight and window.
    weights = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    assert speed.flop > 6 * weights * speed.batch_size and speed.flops > 0
    assert utilisation.epoch("wave_fc", CPU, 4, windows=8) > 0 and utilisation.peak(CPU, 64, 2) > 0


@pytest.mark.parametrize(
    ("issuing", "flop", "seconds", "said"),
    [(0.95, 1e9, 61, "launching"), (0.5, 1e9, 61, "memory"), (0.5, 1e12, 61, "compute"), (0.5, 1e9, 99, "data")],
)
def test_what_holds_a_gpu_up_is_named(issuing, flop, seconds, said):
    speed = utilisation.Speed(batch_size=10, rate=100.0, flop=flop, issuing=issuing)
    assert utilisation.bottleneck(speed, seconds, 1e13, windows=6000).startswith(said)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_use_is_skipped_with_a_line(capsys):
    assert utilisation.rows() == [] and "no CUDA device" in capsys.readouterr().err


@pytest.mark.e2e
def test_every_stage_is_timed_in_a_small_project(tmp_path):
    raw = merged(params.read_params(), TINY) | {"tracking": {"enabled": False}}
    raw["models"] = {"pca": raw["models"]["pca"]}
    taken = results.measure(raw, tmp_path)
    stages = {path.stem for path in (results.ROOT / "stages").glob("[!_]*.py")}
    assert set(taken) == stages and min(taken.values()) > 0
    assert (tmp_path / "data" / "report" / "index.html").is_file()
