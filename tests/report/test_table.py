"""Rows and columns of the comparison, the files that hold them, and the format of numbers."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.report import columns, formatting, table
from pipeline.report.histories import describe_training
from pipeline.report.table import Row
from tests import artefacts
from tests.report import inputs
from tests.report.inputs import make_params
from tests.report.parsed import write

CODES = {"perplexity": 20.0, "perplexity_share": 0.3125, "active_units": None}


def read_rows(root: Path, *names: str) -> dict[str, Row]:
    rows = table.read_rows(root, make_params(*names))
    return {row.variant: row for row in rows}


def test_nan_is_a_missing_value(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    path = tmp_path / "evaluation" / "mel_a" / "metrics.json"
    path.write_text(re.sub(r'"mse": [^,]+', '"mse": NaN', path.read_text()))
    row = read_rows(tmp_path, "mel_a")["mel_a"]
    assert row["mse"] is None and row["mse_relative"] is None and row["kl"] == 182.4


def test_roles_codes_and_inputs_of_the_decoder_are_on_the_page(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_mean", "mel", components=0)
    artefacts.make_variant(tmp_path, "mel_a", "mel", config={"network": {"skip": True}})
    artefacts.make_variant(tmp_path, "mel_codes", "mel", metrics=CODES)
    artefacts.make_variant(tmp_path, "wave_b", "waveform", config={"scaling": "rms"})
    names = ("mel_mean", "mel_a", "mel_codes", "wave_b")
    rows = read_rows(tmp_path, *names)
    page = write(tmp_path, make_params(*names))
    assert "skip connections around the latent" in page.text and "the window's gain (rms)" in page.text
    assert "31.2 % perplexity 20.0" in page.text and "3 variants and 1 baseline" in page.text
    comparison = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert comparison["mel_a"]["mse"] == rows["mel_a"]["mse"]
    assert comparison["mel_codes"]["in_use"] == 0.3125


def test_ceilings_are_rows_that_do_not_compete(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "wave_a", "waveform", metrics={"bandwidth_hz": 1500.0})
    inputs.make_reference(tmp_path)
    rows = read_rows(tmp_path, "wave_a")
    assert list(rows) == ["wave_a", "true wave"]
    ceiling = rows["true wave"]
    assert (ceiling.role, ceiling.competes, ceiling["mel_mse"], ceiling["mse"]) == ("ceiling", False, 0.03, None)
    assert ceiling["mel_mse_relative"] == pytest.approx(0.03 / 0.0307)
    comparison, lines = written(list(rows.values()), tmp_path)
    assert list(comparison) == ["wave_a"]
    assert [line["role"] for line in lines.values()] == ["variant", "ceiling"]


def test_griffin_lim_is_a_row_of_audio_before_the_ceiling(tmp_path: Path) -> None:
    for name, kind, bandwidth in (("mel_a", "mel", None), ("wave_a", "waveform", 1500.0)):
        artefacts.make_variant(tmp_path, name, kind, metrics={"bandwidth_hz": bandwidth})
    inputs.make_reference(tmp_path, audio_stft_distance=0.4)
    inputs.make_griffin_lim(tmp_path, audio_stft_distance=0.7, audio_log_spectral_distance=9.0)
    rows = read_rows(tmp_path, "mel_a", "wave_a")
    assert list(rows) == ["mel_a", "wave_a", "mel by Griffin-Lim", "true mel", "true wave"]
    row = rows["mel by Griffin-Lim"]
    assert (row.role, row.representation, row.competes) == ("ceiling", "mel", False)
    numbers = {name: value for name, value in row.numbers.items() if value is not None}
    assert numbers == {"audio_stft_distance": 0.7, "audio_log_spectral_distance": 9.0}
    assert rows["true mel"]["audio_stft_distance"] == 0.4 and rows["true mel"]["mel_mse_shared"] is not None
    comparison, lines = written(list(rows.values()), tmp_path)
    assert list(comparison) == ["mel_a", "wave_a"]
    assert lines["mel by Griffin-Lim"]["mel_mse"] == "" and lines["mel by Griffin-Lim"]["audio_stft_distance"] == "0.7"


def test_codecs_and_models_from_elsewhere_are_rows_that_do_not_compete(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    inputs.make_reference(tmp_path)
    inputs.make_others(tmp_path)
    rows = read_rows(tmp_path, "mel_a")
    names = ["MP3 at 32 kbit/s", "Opus at 8 kbit/s", "Opus at 24 kbit/s", "theirs"]  # by codec, then by rate
    assert list(rows) == ["mel_a", "true mel", *names]
    assert [rows[name].role for name in names] == ["codec"] * 3 + ["external"]
    assert not any(rows[name].competes or rows[name].is_model for name in names)
    assert rows["theirs"]["mel_mse_relative"] == pytest.approx(0.004 / 0.0307)
    comparison, lines = written(list(rows.values()), tmp_path)
    assert list(comparison) == ["mel_a"]
    assert [lines["theirs"][name] for name in ("role", "kbps", "mel_mse")] == ["external", "6.0", "0.004"]
    assert lines["Opus at 8 kbit/s"]["mel_mse"] == "" and lines["Opus at 8 kbit/s"]["audio_mel_distance"] == "3.2"


def test_shared_bands_are_below_the_lowest_bandwidth(tmp_path: Path) -> None:
    for name, kind, bandwidth in (("mel_a", "mel", None), ("wave_a", "waveform", 1500.0)):
        artefacts.make_variant(tmp_path, name, kind, metrics={"bandwidth_hz": bandwidth})
        inputs.make_windows(tmp_path, name, 0.02)
    inputs.make_reference(tmp_path)
    rows = read_rows(tmp_path, "mel_a", "wave_a")
    hertz, error = np.geomspace(40, 10000, 32), 0.02 * np.linspace(1, 2, 32)
    below = error[:-1][hertz[1:] <= 1500].mean()
    assert 0.02 < below < error.mean()
    assert [rows[name]["mel_mse_shared"] for name in ("mel_a", "wave_a")] == [pytest.approx(below)] * 2
    assert read_rows(tmp_path, "mel_a")["mel_a"]["mel_mse_shared"] is None  # all bands are shared


def written(rows: list[Row], folder: Path) -> tuple[dict[str, dict[str, float | None]], dict[str, dict[str, str]]]:
    """comparison.json, and the lines of comparison.csv by variant."""
    table.write_comparison_json(rows, folder / "comparison.json")
    table.write_comparison_csv(rows, folder / "comparison.csv")
    with (folder / "comparison.csv").open(newline="") as file:
        lines = {line["variant"]: line for line in csv.DictReader(file)}
    return json.loads((folder / "comparison.json").read_text()), lines


def test_comparison_files_contain_numbers_or_nothing(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel", amount=0.1)
    artefacts.make_variant(tmp_path, "wave_b", "waveform", metrics={"collapsed": True, "kl": None, "new_metric": 4.5})
    comparison, lines = written(list(read_rows(tmp_path, "wave_b", "mel_a", "mel_absent").values()), tmp_path)
    assert list(comparison) == ["mel_a", "mel_absent", "wave_b"]
    values = [value for metrics in comparison.values() for value in metrics.values()]
    assert all(value is None or isinstance(value, float) for value in values)
    assert comparison["mel_a"]["mse"] == pytest.approx(0.006) and comparison["wave_b"]["collapsed"] == 1
    assert comparison["wave_b"]["kl"] is None and set(comparison["mel_absent"].values()) == {None}
    assert lines["mel_a"]["mse_low"] and lines["mel_absent"]["mse"] == "" and lines["mel_absent"]["evaluated"] == "0"
    assert lines["wave_b"]["new_metric"] == "4.5" and lines["mel_a"]["new_metric"] == ""


def test_the_best_is_marked_per_column_or_per_input() -> None:
    def row(name: str, representation: str, mel: float, own: float, **more: float) -> Row:
        numbers = {"mel_mse": mel, "mse": own, "frechet_samples": 10 * own, "transfer_accuracy": 1 - own, **more}
        return Row(name, representation, True, numbers=numbers)

    collapsed = row("c", "mel", 0.01, 0.01, collapsed=1.0)
    rows = [row("a", "mel", 0.1, 0.1), row("b", "mel", 0.2, 0.2), collapsed, row("w", "wave", 0.3, 0.3)]
    best = {
        (row.variant, column.name, column.unit)
        for row in rows
        for column in columns.COLUMNS
        if column.is_best(row, rows)
    }
    per_input = [("MSE", "own scale"), ("Fréchet", "samples"), ("Transfer", "reaches target label")]
    assert best == {("a", "Error", "MSE, log-mel"), *((name, *column) for column in per_input for name in "aw")}


def test_columns_without_values_are_left_out_and_every_set_has_a_note() -> None:
    row = Row("a", "mel", True, numbers={"kl": 3.0})
    assert [column.name for column in columns.columns_with_values([row])] == ["KL"]
    assert set(columns.SET_NOTES) == set(columns.SETS)
    assert {name for column in columns.COLUMNS for name in column.sets.split()} == set(columns.SETS) - {"all"}


def test_flat_samples_and_transfers_are_reported(tmp_path: Path) -> None:
    flat = {"samples_flat": True, "samples_flat_reason": "samples differ 0.02 times as much as the data"}
    transfer = {"transfer_accuracy": 0.35, "transfer_chance": 0.1, "transfer_real": 0.72}
    artefacts.make_data(tmp_path, [], ["waltz"])
    artefacts.make_variant(tmp_path, "mel_flat", "mel", metrics=flat | transfer)
    artefacts.make_variant(tmp_path, "mel_fine", "mel")
    text = write(tmp_path, make_params("mel_flat", "mel_fine")).text
    assert text.count("samples are flat") == 1
    assert "Samples are flat: samples differ 0.02 times as much as the data." in text
    assert "the target label to 35.0 % of the transferred windows (chance 10.0 %)" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0062, "0.00620"), (0.9712, "0.971"), (0.0, "0"), (51234.5, "51,234"), (-1234.0, "-1,234"),
     (182.4, "182"), (99.96, "100"), (2.5e-6, "2.50e-06")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert formatting.digits(value) == text


def test_units_shares_and_durations() -> None:
    texts = {
        formatting.size: {None: "–", 812: "812", 812_300: "812 k", 1_234_567: "1.23 M"},
        formatting.percent: {None: "–", 0.2421: "24.2 %", 1.31: "131 %"},
        formatting.factor: {None: "–", 0.9753: "0.975 ×", 1.314: "1.31 ×"},
        formatting.count: {None: "–", 64.0: "64", 58.5: "58.5", 1200: "1,200"},
        formatting.duration: {None: "–", 48.2: "48 s", 60: "1 min", 725: "12 min 5 s", 12000: "3 h 20 min"},
        formatting.hertz: {None: "–", 250: "250 Hz", 1500.0: "1.5 kHz", 11025: "11 kHz"},
    }
    for write_number, expected in texts.items():
        assert {x: write_number(x).replace(formatting.NBSP, " ") for x in expected} == expected
    assert formatting.interval(None, 1.0) == "" and formatting.interval(0.0054, 0.007) == "0.00540–0.00700"


def test_the_selected_epoch_has_the_lowest_loss_or_is_the_last_of_an_adversarial_phase() -> None:
    plain = artefacts.history(6, 0)
    plain["valid_loss"] = [6.0, 5.0, 4.0, 5.0, 6.0, 7.0]
    adversarial = plain.assign(adversarial_phase=[0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    expected = "seed 0: 6 epochs, selected epoch 3; seed 1: 6 epochs, selected epoch 6"
    assert describe_training({0: plain, 1: adversarial}) == expected
