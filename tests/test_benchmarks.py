"""The benchmarks run. Their results are not tested."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import build, caching, gpu, length, reading, startup, tracking
from benchmarks.measure import compare, table
from benchmarks.training import bare_step, case, conventional, data_wait, first_step
from benchmarks.training.case import Case, on_disk
from pipeline.core import params
from tests.e2e.conftest import TINY, clone, merged


def test_caching_and_reading_run_on_little_data(monkeypatch):
    monkeypatch.setattr(caching, "CLIPS", 6)
    monkeypatch.setattr(reading, "WINDOWS", 32)
    for module in (caching, reading):
        monkeypatch.setattr(module, "compare", partial(compare, rounds=1))
    rows = [*caching.rows(), *reading.rows()]
    assert all(row.ours > 0 and row.theirs > 0 for row in rows) and len(list(table(rows))) == 2 + len(rows)


def test_the_transformer_trains_on_five_seconds_at_the_full_rate_in_8_gb():
    cell = length.measure("transformer", 5.0, 22050, steps=1)
    assert cell.samples == 110_250 and 100 < cell.memory < 8000  # MB
    assert "| 5 s at 22,050 Hz | 110,250 |" in length.table([cell])


def test_costs_over_length_are_drawn(tmp_path):
    cells = [length.Cell("transformer", 1.0, rate, 50.0, 0.1) for rate in length.RATES]
    length.draw(cells, tmp_path / "length.png")
    assert (tmp_path / "length.png").read_bytes().startswith(b"\x89PNG")


CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small_case() -> Case:
    return Case.of("wave_fc", 3, CPU, epochs=2)


def test_the_loop_is_compared_with_the_conventional_way_and_with_bare_steps(small_case, monkeypatch):
    for module in (conventional, bare_step, case):
        monkeypatch.setattr(module, "TURN_STEPS", 2)
    rows = [*conventional.measure(small_case), bare_step.measure(small_case)]
    assert ["log_metric" in row.reference for row in rows] == [False, True, False]
    assert all(row.ours > 0 and row.theirs > 0 for row in rows)


def test_the_conventional_way_reads_the_same_windows(small_case, tmp_path):
    files = conventional.Files(conventional.save_windows(small_case, tmp_path))
    assert len(files) == len(small_case.train) == 3 * small_case.settings.batch_size
    assert files[5].shape == (1, *small_case.train.shape) and 0.1 < files[5].abs().max() <= 1


def test_the_wait_for_batches_is_part_of_the_epoch(small_case, tmp_path):
    settings = small_case.settings.model_copy(update={"resident_gib": 0.0})
    streamed = replace(small_case, train=on_disk(small_case.train, tmp_path), settings=settings)
    for epoch, wait in map(data_wait.measure, (small_case, streamed)):
        assert 0 < wait < epoch


def test_the_first_step_is_timed_separately():
    assert min(first_step.measure("wave_fc")) > 0


@pytest.mark.slow
def test_speeds_of_a_gpu_are_measured_in_the_order_of_their_importance(monkeypatch, capsys):
    raw = merged(params.read_params(), {"windows": {"seconds": 1.0}})
    raw["models"] = {name: raw["models"][name] for name in ("wave_fc", "wave_vqvae")}
    monkeypatch.setattr(gpu, "read_params", lambda: raw)
    sizes = {"STEPS": 1, "WARMUP_STEPS": 1, "LARGE_BATCH": 4, "MATRIX": 64, "WINDOWS": 16, "SECONDS": 0.1}
    names = {"STUDIES": (), "KINDS": ("wave_fc",), "EVALUATED": ("wave_fc",), "PROCESSES": (2,)}
    for name, value in (sizes | names).items():
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setattr(gpu, "processes_row", lambda *_: 1 / 0)
    rows = list(gpu.rows(CPU))
    assert [row.what.split(",")[0] for row in rows][:2] == ["step of wave_fc", "step of wave_vqvae"]
    assert len(rows) == 9 and all(row.ours > 0 for row in rows)
    assert "2 processes: ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setattr(gpu, "LIMIT", 0)
    assert list(gpu.rows(CPU)) == [] and "are over, before wave_fc" in capsys.readouterr().err


@pytest.mark.slow
def test_several_trainings_run_at_once(monkeypatch):
    assert gpu.rate_together("wave_fc", CPU, 2) > 0


def test_flop_of_a_step_are_counted(monkeypatch):
    monkeypatch.setattr(gpu, "STEPS", 1)
    speed = gpu.measure(Case.of("wave_fc", 1, CPU, batch_size=4))
    model, _ = Case.of("wave_fc", 1, CPU).untrained()
    # Forward and backward pass of linear layers: at least six operations for each weight and window.
    weights = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    assert speed.flop > 6 * weights * speed.windows and speed.rate > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_use_is_skipped_with_a_line(capsys):
    assert list(gpu.rows()) == [] and "no CUDA device" in capsys.readouterr().err


@pytest.mark.e2e
def test_each_stage_of_a_build_is_timed(tmp_path):
    seconds = build.measure(clone(tmp_path, {}).path, *build.SERIAL, "windows")
    assert set(seconds) == {"download", "windows", "all", build.BETWEEN} and min(seconds.values()) > 0
    assert seconds.pop("all") == pytest.approx(sum(seconds.values()), rel=0.05)


@pytest.mark.e2e
def test_a_stage_is_started():
    startup._run(startup._stage("train"))


@pytest.mark.e2e
def test_the_cost_of_tracking_is_measured_in_a_small_project(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "SETTLE_SECONDS", 0.5)
    raw = merged(params.read_params(), TINY)
    raw["models"] = {"mel_conv": raw["models"]["mel_conv"]}
    rows = tracking.measure(raw, tmp_path, rounds=1)
    assert len(rows) == 4 and all(row.ours > 0 and row.theirs > 0 for row in rows)
    assert len([*tmp_path.glob(".melisma/runs/*/steps.csv")]) == 1  # only one of the two trainings was recorded
