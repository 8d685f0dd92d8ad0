"""Charts, ablations, learning curves and model cards."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import DataError
from pipeline.report.charts import bands, curves, rate_distortion
from pipeline.report.charts.ablation import find_ablations
from pipeline.report.histories import read_history
from pipeline.report.table import read_rows
from pipeline.report.variant_section import find_limits
from tests import artefacts
from tests.report import inputs
from tests.report.conftest import LONG_NAME, NAMES
from tests.report.inputs import make_params
from tests.report.parsed import Page, write


def test_every_chart_is_drawn(data: Path, page: Page) -> None:
    files = {path.name for path in (data / "report").glob("*.png")}
    assert files == {"comparison.png", "cosine.png", "rate_distortion.png", "bands.png", "curves.png", "ablation.png"}
    for file in files:
        assert matplotlib.image.imread(data / "report" / file)[..., :3].std() > 0.02


def test_a_chart_without_data_is_left_out(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_mean", "mel", components=0)
    write(tmp_path, make_params("mel_mean", "mel_absent"))
    assert {path.name for path in (tmp_path / "report").glob("*.png")} == {"comparison.png"}
    assert len((tmp_path / "report" / "curves.csv").read_text().splitlines()) == 1


def test_an_ablation_holds_variants_that_differ_only_in_their_loss(data: Path) -> None:
    params = make_params("mel_a", "mel_b", "wave_c")
    params["models"]["mel_b"]["loss"] = {"spectral": {"weight": 0.0}, "kl": {"beta": 0.02}}
    rows = read_rows(data, params)
    (ablation,) = find_ablations(rows, params)
    assert [row.variant for row in ablation.rows] == ["mel_a", "mel_b"]
    assert ablation.differences == {"spectral.weight": [0.1, 0.0], "kl.beta": [1.0, 0.02]}
    params["models"]["mel_b"]["train"] = {"epochs": 3}
    assert find_ablations(rows, params) == []


def test_an_explicit_default_is_no_difference(data: Path) -> None:
    params = make_params("mel_a", "mel_b")
    params["models"]["mel_b"] |= {"loss": {"spectral": {"weight": 0.3}}, "train": {"epochs": 7}}
    params["models"]["mel_b"]["network"]["norm"] = "batch"
    params["train"] = {"epochs": 7}
    rows = read_rows(data, params)
    assert [ablation.differences for ablation in find_ablations(rows, params)] == [{"spectral.weight": [0.1, 0.3]}]


def test_curves_csv_has_every_epoch_of_every_seed(data: Path, page: Page) -> None:
    curves = pd.read_csv(data / "report" / "curves.csv")
    assert curves.groupby(["variant", "seed"]).size().to_dict() == {
        ("mel_a", 0): 20,
        ("mel_a", 1): 20,
        ("mel_b", 0): 100,
        (LONG_NAME, 0): 6,
        ("wave_c", 0): 6,
    }
    assert set(curves["representation"]) == {"mel", "wave"} and curves["valid_mse"].notna().all()


@pytest.mark.filterwarnings("error")
def test_rates_are_drawn_beside_codecs_and_the_bound(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=128)
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    inputs.make_reference(tmp_path)
    inputs.make_others(tmp_path)
    figure = rate_distortion.draw(read_rows(tmp_path, make_params("mel_pca", "mel_a")))
    assert figure is not None
    own, audio = figure.axes
    names = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in (own, audio)]
    assert names == [["mean predictor", "Gaussian bound", "mel_a"], ["mel_a", "MP3", "Opus", "theirs"]]
    opus = next(line for line in audio.lines if len(line.get_xdata()) == 2)
    assert list(opus.get_xdata()) == [8.0, 24.1]
    bound = next(line for line in own.lines if "Gaussian" in str(line.get_label()))
    assert (np.diff(bound.get_xdata()) >= 0).all() and (np.diff(bound.get_ydata()) <= 0).all()
    assert own.get_xlabel() == audio.get_xlabel() == "kbit/s"


@pytest.mark.filterwarnings("error")
def test_legends_show_names_that_begin_with_an_underscore(data: Path) -> None:
    rows = [replace(row, variant=f"_{row.variant}") for row in read_rows(data, make_params("mel_a", "mel_b"))]
    histories = {f"_{name}": read_history(data / "models", name) for name in ("mel_a", "mel_b")}
    for figure, others in ((bands.draw(rows), ["mean predictor"]), (curves.draw(rows, histories), [])):
        assert figure is not None
        [legend] = [legend for ax in figure.axes if (legend := ax.get_legend())]
        assert [text.get_text() for text in legend.get_texts()] == [*others, "_mel_a", "_mel_b"]


def test_a_model_card_states_the_limits(data: Path, page: Page) -> None:
    card = (data / "report" / "cards" / "wave_c.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert card.startswith("# wave_c\n") and "dvc repro evaluate@wave_c" in card
    assert "no frequencies above 1.5 kHz" in card
    assert "the true windows have an MSE of 0.0300 on the common log-mel" in card
    assert "right for 30.0 % of the windows (chance 25.0 %)" in card and "| MSE, own scale | 0.00800 |" in card
    baseline = (data / "report" / "cards" / "mel_mean.md").read_text()
    assert "A baseline" in baseline and "None: a baseline is fitted in closed form." in baseline
    assert "&" not in card + baseline  # Markdown is not escaped


def test_a_model_card_says_that_samples_of_a_sequence_have_no_melody(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "wave_a", "waveform")
    path = tmp_path / "evaluation" / "wave_a" / "config.json"
    params = {"models": {"wave_a": {"representation": "waveform"}}}
    for layout, expected in (("sequence", True), ("vector", False)):
        config = json.loads(path.read_text()) | {"bottleneck": {"type": "gaussian", "layout": layout}}
        path.write_text(json.dumps(config))
        limits = find_limits(read_rows(tmp_path, params)[0], None)
        assert any("no rhythm and no melody" in limit for limit in limits) == expected


def test_model_cards_are_valid_markdown(data: Path, page: Page) -> None:
    for path in (data / "report" / "cards").glob("*.md"):
        for previous, line in pairwise(path.read_text().splitlines()):
            assert not (line.startswith("#") and previous), f"{path.name}: no empty line before {line}"
            if line.startswith("|"):
                assert line.count("|") == 4 and (previous.startswith("|") or previous == "")


@pytest.mark.parametrize("file", ["models/mel_a/seed-0/history.csv", "evaluation/mel_a/bands.parquet",
                                  "evaluation/mel_a/windows.parquet", "evaluation/mel_a/metrics.json",
                                  "reference/examples.parquet", "windows/rejected.parquet"])  # fmt: skip
def test_a_damaged_file_is_named(data: Path, file: str, tmp_path: Path) -> None:
    content = (data / file).read_bytes()
    (data / file).write_bytes(b"\0")
    try:
        with pytest.raises(DataError, match=file.rpartition("/")[2].replace(".", r"\.")):
            write(data, make_params(*NAMES), tmp_path.name)
    finally:
        (data / file).write_bytes(content)
