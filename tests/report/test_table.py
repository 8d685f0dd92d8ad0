"""Rows of the comparison, its columns, and the files that hold them."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.report import columns, table, text
from pipeline.report.table import Row
from tests import artefacts
from tests.report import built
from tests.report.built import params
from tests.report.parsed import write

CODES = {"perplexity": 20.0, "perplexity_share": 0.3125, "active_units": None}
SPACE = "\N{NO-BREAK SPACE}"


def rows(root: Path, *names: str) -> dict[str, Row]:
    found = table.rows(list(names), root / "evaluation", params(*names), root / "reference")
    return {row.variant: row for row in found}


def test_not_a_number_counts_as_no_value(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    path = tmp_path / "evaluation" / "mel_a" / "metrics.json"
    path.write_text(re.sub(r'"mse": [^,]+', '"mse": NaN', path.read_text()))
    row = rows(tmp_path, "mel_a")["mel_a"]
    assert row["mse"] is None and row["mse_relative"] is None and row["kl"] == 182.4


def test_pca_at_the_same_size_is_set_beside_each_variant(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=70)
    artefacts.make_variant(tmp_path, "mel_mean", "mel", components=0)
    artefacts.make_variant(tmp_path, "mel_a", "mel", amount=0.0, config={"network": {"skip": True}})
    artefacts.make_variant(tmp_path, "mel_wide", "mel", metrics={"latent_dims": 71})
    artefacts.make_variant(tmp_path, "mel_codes", "mel", metrics=CODES)
    artefacts.make_variant(tmp_path, "wave_b", "waveform", config={"scaling": "rms"})
    names = ("mel_pca", "mel_mean", "mel_a", "mel_wide", "mel_codes", "wave_b")
    found = rows(tmp_path, *names)
    assert found["mel_a"]["mse_pca"] == pytest.approx(0.0256 * 0.97**64)
    assert found["mel_a"]["pca_ratio"] == pytest.approx(0.004 / (0.0256 * 0.97**64))
    assert all(found[name]["mse_pca"] is None for name in names if name != "mel_a")
    page = write(tmp_path, params(*names))
    assert "skip connections pass the latent by" in page.text and "and the window's level (rms)" in page.text
    assert "31.2 % perplexity 20.0" in page.text and "4 variants and 2 baselines" in page.text
    compared = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert compared["mel_a"]["mse"] == found["mel_a"]["mse"]
    assert compared["mel_codes"]["in_use"] == 0.3125


def test_ceilings_are_rows_that_do_not_compete(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "wave_a", "waveform", metrics={"reach_hz": 1500.0})
    built.ceilings(tmp_path)
    found = rows(tmp_path, "wave_a")
    assert list(found) == ["wave_a", "true wave"]
    ceiling = found["true wave"]
    assert (ceiling.role, ceiling.competes, ceiling["mel_mse"], ceiling["mse"]) == ("ceiling", False, 0.03, None)
    assert ceiling["mel_mse_relative"] == pytest.approx(0.03 / 0.0307)
    table.write_compared(list(found.values()), tmp_path / "comparison.json")
    assert list(json.loads((tmp_path / "comparison.json").read_text())) == ["wave_a"]
    table.write_csv(list(found.values()), tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert [row["role"] for row in csv.DictReader(file)] == ["variant", "ceiling"]


def test_what_all_inputs_reach_is_compared_in_the_same_bands(tmp_path: Path) -> None:
    for name, kind, reach in (("mel_a", "mel", None), ("wave_a", "waveform", 1500.0)):
        artefacts.make_variant(tmp_path, name, kind, metrics={"reach_hz": reach})
        built.scores(tmp_path, name, 0.02)
    built.ceilings(tmp_path)
    names = ["mel_a", "wave_a"]
    found = table.rows(names, tmp_path / "evaluation", params(*names), tmp_path / "reference")
    hertz, error = np.geomspace(40, 10000, 32), 0.02 * np.linspace(1, 2, 32)
    below = error[:-1][hertz[1:] <= 1500].mean()
    assert 0.02 < below < error.mean()
    assert [row["mel_mse_shared"] for row in found[:2]] == [pytest.approx(below)] * 2
    alone = table.rows(["mel_a"], tmp_path / "evaluation", params("mel_a"), tmp_path / "reference")
    assert alone[0]["mel_mse_shared"] is None  # all bands are shared


def test_comparison_files_hold_numbers_or_nothing(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel", amount=0.1)
    artefacts.make_variant(tmp_path, "wave_b", "waveform", metrics={"collapsed": True, "kl": None, "new_metric": 4.5})
    found = list(rows(tmp_path, "wave_b", "mel_a", "mel_absent").values())
    table.write_compared(found, tmp_path / "comparison.json")
    compared = json.loads((tmp_path / "comparison.json").read_text())
    assert list(compared) == ["mel_a", "mel_absent", "wave_b"]
    values = [value for metrics in compared.values() for value in metrics.values()]
    assert all(value is None or isinstance(value, float) for value in values)
    assert compared["mel_a"]["mse"] == pytest.approx(0.006) and compared["wave_b"]["collapsed"] == 1
    assert compared["wave_b"]["kl"] is None and set(compared["mel_absent"].values()) == {None}
    table.write_csv(found, tmp_path / "comparison.csv")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        read = {row["variant"]: row for row in csv.DictReader(file)}
    assert read["mel_a"]["mse_low"] and read["mel_absent"]["mse"] == "" and read["mel_absent"]["evaluated"] == "0"
    assert read["wave_b"]["new_metric"] == "4.5" and read["mel_a"]["new_metric"] == ""


def test_the_best_is_marked_for_each_input_where_only_those_compare() -> None:
    def row(name: str, representation: str, mel: float, own: float, **more: float) -> Row:
        numbers = {"mel_mse": mel, "mse": own, "frechet_samples": 10 * own, "transfer_accuracy": 1 - own, **more}
        return Row(name, representation, True, numbers=numbers)

    fallen = row("c", "mel", 0.01, 0.01, collapsed=1.0)
    found = [row("a", "mel", 0.1, 0.1), row("b", "mel", 0.2, 0.2), fallen, row("w", "wave", 0.3, 0.3)]
    shown = columns.filled(found)
    best = {
        (line.variant, column.name, column.unit)
        for line, cells in zip(found, columns.cells(found, shown), strict=True)
        for column, cell in zip(shown, cells, strict=True)
        if cell.best
    }
    within = [("MSE", "own scale"), ("Fréchet", "samples"), ("Transfer", "reaches its label")]
    assert best == {("a", "Error", "MSE, log-mel"), *((name, *column) for column in within for name in "aw")}


def test_columns_without_a_value_are_left_out_and_every_set_is_described() -> None:
    assert [column.name for column in columns.filled([Row("a", "mel", True, numbers={"kl": 3.0})])] == ["KL"]
    assert set(columns.ABOUT) == set(columns.SETS)
    assert {name for column in columns.COLUMNS for name in column.sets} == set(columns.SETS) - {"all"}


def test_flat_samples_and_transfers_are_said(tmp_path: Path) -> None:
    flat = {"samples_flat": True, "samples_flat_reason": "samples differ 0.02 times as much as the data"}
    transfer = {"transfer_accuracy": 0.35, "transfer_chance": 0.1, "transfer_real": 0.72}
    artefacts.make_data(tmp_path, [], ["waltz"])
    artefacts.make_variant(tmp_path, "mel_flat", "mel", metrics=flat | transfer)
    artefacts.make_variant(tmp_path, "mel_fine", "mel")
    page = write(tmp_path, params("mel_flat", "mel_fine"))
    assert page.text.count("samples are flat") == 1
    assert "Samples are flat: samples differ 0.02 times as much as the data." in page.text
    said = "35.0 % of the windows that were transferred to another label that label (chance 10.0 %)"
    assert said in page.text


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0.0062, "0.00620"), (0.9712, "0.971"), (0.0, "0"), (51234.5, "51,234"), (-1234.0, "-1,234"),
     (182.4, "182"), (99.96, "100"), (2.5e-6, "2.50e-06")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, written: str) -> None:
    assert text.digits(value) == written


def test_sizes_shares_and_times() -> None:
    def plain(written: str) -> str:
        return written.replace(SPACE, " ")

    assert [plain(text.size(n)) for n in (None, 812, 812_300, 1_234_567)] == ["–", "812", "812 k", "1.23 M"]
    assert [plain(text.percent(x)) for x in (None, 0.2421, 1.31)] == ["–", "24.2 %", "131 %"]
    assert [plain(text.times(x)) for x in (None, 0.9753, 1.314)] == ["–", "0.975 ×", "1.31 ×"]
    assert [text.count(x) for x in (None, 64.0, 58.5, 1200)] == ["–", "64", "58.5", "1,200"]
    assert [plain(text.clock(s)) for s in (None, 48.2, 60, 725, 12000)] == [
        "–",
        "48 s",
        "1 min",
        "12 min 5 s",
        "3 h 20 min",
    ]
    assert [plain(text.hertz(f)) for f in (None, 250, 1500.0, 11025)] == ["–", "250 Hz", "1.5 kHz", "11 kHz"]
    assert text.span(None, 1.0) == "" and text.span(0.0054, 0.007) == "0.00540–0.00700"
