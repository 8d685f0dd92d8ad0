"""Each variant beside PCA of its own size: numbers, words, and what cannot be compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.core.workspace import write_json
from pipeline.metrics.pca import pca_errors
from pipeline.report.charts import latent_size
from pipeline.report.formatting import NBSP
from pipeline.report.pca import add_pca_ratios, pca_sentence, pca_verdict, read_pca_windows
from pipeline.report.table import Row
from tests import artefacts
from tests.report import inputs
from tests.report.inputs import make_params
from tests.report.parsed import write

SHAPE = (4, 6)  # of a window
COMPONENTS = 5
SIZE = 3  # numbers in the latent of the variants


@pytest.fixture
def baseline(tmp_path: Path) -> Row:
    """PCA with `COMPONENTS` components, of 24 windows in four groups of two tracks."""
    write_json(tmp_path / "config.json", {"shape": SHAPE})
    latents = np.random.default_rng(0).normal(size=(24, COMPONENTS)).astype(np.float32)
    arrays.write(tmp_path / "latents.parquet", {"window_id": range(24)}, {"latent": latents})
    errors = pca_errors(np.full(24, 0.2), latents, SHAPE).mean(0)
    sizes = pd.DataFrame({"latent": range(COMPONENTS + 1), "mse": errors, "mse_low": errors, "mse_high": errors})
    sizes.to_parquet(tmp_path / "sizes.parquet")
    return Row("pca", "mel", True, role="baseline", numbers={"mse": errors[-1]}, folder=tmp_path)


def windows_of(mse: np.ndarray | float) -> pd.DataFrame:
    track = np.repeat(np.arange(8), 3)
    return pd.DataFrame({"seed": 0, "window_id": np.arange(24), "track_id": track, "group": track // 2, "mse": mse})


def compare(baseline: Row, *factors: float, noise: float = 0.0) -> list[Row]:
    """Variants with these factors of PCA's error in each window, after `add_pca_ratios`."""
    latents = arrays.unpack(arrays.read(baseline.folder / "latents.parquet"), "latent")
    pca_error = pca_errors(np.full(24, 0.2), latents, SHAPE)[:, SIZE]
    windows = {"pca": windows_of(0.2)}
    rows = [baseline]
    for i, factor in enumerate(factors):
        jitter = np.random.default_rng(i).normal(0, noise, 24)
        windows[f"v{i}"] = windows_of(factor * pca_error + jitter)
        mse = float(windows[f"v{i}"]["mse"].mean())
        numbers = {"mse": mse, "mel_mse": mse, "mel_mse_relative": 0.5, "latent_dims": float(SIZE)}
        rows.append(Row(f"v{i}", "mel", True, numbers=numbers))
    assert add_pca_ratios(rows, windows, 500) == {}
    return rows


def test_a_variant_is_better_or_worse_if_the_interval_excludes_one(baseline: Row) -> None:
    _, lower, higher = compare(baseline, 0.9, 1.2)
    assert (pca_verdict(lower), pca_verdict(higher)) == ("better", "worse")
    assert lower["pca_ratio"] == pytest.approx(0.9) and higher["pca_ratio"] == pytest.approx(1.2)
    assert lower["mse_pca"] == pytest.approx((lower["mse"] or 0) / 0.9)
    low, high = lower["pca_ratio_low"], lower["pca_ratio_high"]
    assert low is not None and high is not None and low < 0.9 < high < 1
    _, equal = compare(baseline, 1.0, noise=0.05)
    assert pca_verdict(equal) == "not significant"
    assert pca_verdict(baseline) == ""


def test_without_windows_there_is_a_ratio_but_no_interval(baseline: Row) -> None:
    row = Row("a", "mel", True, numbers={"mse": 0.1, "latent_dims": 3.0})
    add_pca_ratios([baseline, row], {}, 500)
    assert row["pca_ratio"] is not None and row["pca_ratio_low"] is None and pca_verdict(row) == "without interval"
    assert "PCA of the same size: 1 without interval." in pca_sentence([row])


def test_the_sentence_counts_variants_and_names_the_best(baseline: Row) -> None:
    text = pca_sentence(compare(baseline, 0.9, 0.95, 1.2)).replace(NBSP, " ")
    assert text == (
        "Variants compared with PCA of the same size: 2 better, 1 worse. The best is v0, 10 % below PCA with 3 numbers."
    )
    text = pca_sentence(compare(baseline, 1.05, 1.2)).replace(NBSP, " ")
    assert text == (
        "Variants compared with PCA of the same size: 2 worse. The best is v0, 5.0 % above PCA with 3 numbers."
    )
    assert "same size: 1 not significant." in pca_sentence(compare(baseline, 1.0, noise=0.05))
    assert pca_sentence([baseline]) == ""


def test_without_a_baseline_of_its_size_a_variant_is_compared_with_its_own_components(baseline: Row) -> None:
    numbers: dict[str, float | None] = {"mse": 0.19, "mse_components": 0.2, "latent_dims": 9.0}
    for representation in ("mel", "wave"):
        row = Row("own", representation, True, numbers=dict(numbers))
        own = windows_of(0.19 + np.linspace(-0.001, 0.001, 24)).assign(mse_components=0.2)
        assert add_pca_ratios([baseline, row], {"own": own}, 500) == {}
        assert row["mse_pca"] == 0.2 and row["pca_ratio"] == pytest.approx(0.95) and pca_verdict(row) == "better"
    assert latent_size.draw([baseline, row]) is None  # no curve of PCA for this input
    small = Row("small", "mel", True, numbers={"mse": 0.1, "mse_components": 9.0, "latent_dims": float(SIZE)})
    add_pca_ratios([baseline, small], {}, 500)
    assert small["mse_pca"] == pytest.approx(pd.read_parquet(baseline.folder / "sizes.parquet")["mse"][SIZE])


def test_what_cannot_be_compared_has_a_reason(baseline: Row) -> None:
    rows = [
        baseline,
        Row("codes", "mel", True, numbers={"mse": 0.1, "latent_dims": 3.0, "perplexity": 20.0}),
        Row("skip", "mel", True, numbers={"mse": 0.1, "latent_dims": 3.0}, has_skips=True),
        Row("wide", "mel", True, numbers={"mse": 0.1, "latent_dims": 6.0}),
        Row("wave", "wave3k", True, numbers={"mse": 0.1, "latent_dims": 3.0}),
        Row("absent", "mel", False),
        Row("mean", "mel", True, role="baseline", numbers={"mse": 0.1, "latent_dims": 0.0}),
    ]
    assert add_pca_ratios(rows, {}, 500) == {
        "codes are not coordinates": ["codes"],
        "skip connections pass more than the latent": ["skip"],
        "6 numbers, more than the 5 components of PCA": ["wide"],
        "no PCA of wave3k": ["wave"],
    }
    assert all(row["pca_ratio"] is None for row in rows)


def test_latents_of_other_windows_are_an_error(baseline: Row) -> None:
    with pytest.raises(DataError, match=r"latents\.parquet: damaged"):
        read_pca_windows(baseline, windows_of(0.2).iloc[:20], SIZE)


def test_the_chart_has_the_curve_of_pca_and_a_dot_for_each_variant(baseline: Row) -> None:
    rows = compare(baseline, 0.9, 1.2)
    figure = latent_size.draw(rows)
    assert figure is not None
    curve, *dots = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    sizes = pd.read_parquet(baseline.folder / "sizes.parquet")
    assert list(curve.get_xdata()) == [1, 2, 3, 4, 5] and list(curve.get_ydata()) == list(sizes["mse"][1:])
    assert [dot.get_ydata()[0] for dot in dots] == [row["mse"] for row in rows[1:]]
    left, right = (dot.get_xdata()[0] for dot in dots)
    assert left < SIZE < right and left * right == pytest.approx(SIZE**2)  # side by side
    assert latent_size.draw([baseline]) is None


def test_the_page_shows_each_comparison_and_what_has_none(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=70)
    artefacts.make_variant(tmp_path, "mel_a", "mel", amount=0.0)
    pca_error = 0.0256 * 0.97**64
    artefacts.make_variant(tmp_path, "mel_b", "mel", metrics={"mse": 0.9 * pca_error})
    artefacts.make_variant(tmp_path, "wave_c", "waveform")
    artefacts.make_variant(tmp_path, "wave_d", "waveform", metrics={"mse": 0.004, "mse_components": 0.005})
    for name, error in (("mel_pca", pca_error), ("mel_a", 0.004), ("mel_b", 0.9 * pca_error)):
        inputs.make_windows(tmp_path, name, error)
    latents = np.zeros((24, 70), np.float32)  # no coordinate: all sizes have the same errors
    folder = tmp_path / "evaluation" / "mel_pca"
    arrays.write(folder / "latents.parquet", {"window_id": range(24)}, {"latent": latents})
    page = write(tmp_path, make_params("mel_pca", "mel_a", "mel_b", "wave_c", "wave_d"))
    section = page.text[page.text.index("Beside PCA of the same size") : page.text.index("Error on the common log-mel")]
    assert "mel_a 64 numbers mel +9.8 % worse 0.00400, PCA 0.00364" in section
    assert "mel_b 64 numbers mel -10.0 % better 0.00328, PCA 0.00364" in section
    assert "wave_d 64 numbers waveform -20.0 % without interval 0.00400, PCA 0.00500" in section
    assert "Without this comparison: wave_c (no PCA of wave)." in section
    assert "Variants compared with PCA of the same size: 1 better, 1 worse, 1 without interval." in page.text
    assert "mel_pca baseline, 70 numbers" in page.text
    card = (tmp_path / "report" / "cards" / "mel_a.md").read_text().replace(NBSP, " ")
    assert "On its own scale its error is 9.8 % above that of PCA with as many numbers." in card
    assert (tmp_path / "report" / "latent_size.png").is_file()
