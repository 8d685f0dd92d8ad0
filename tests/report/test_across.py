"""What is shown across variants: ablations, pictures, curves and model cards."""

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import pandas as pd
import pytest

from pipeline.core.errors import DataError
from pipeline.report import ablation, table
from tests import artefacts
from tests.report import built
from tests.report.built import params
from tests.report.parsed import write

NAMES = ("mel_mean", "mel_a", "mel_b", "wave_c")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    artefacts.make_data(root, [])
    artefacts.make_variant(root, "mel_mean", "mel", components=0)
    artefacts.make_variant(root, "mel_a", "mel", epochs=20, seeds=(0, 1))
    artefacts.make_variant(root, "mel_b", "mel", epochs=100)
    reach = {"reach_hz": 1500.0, "probe_accuracy": 0.3}
    artefacts.make_variant(root, "wave_c", "waveform", metrics=reach)
    for name, error in (("mel_a", 0.006), ("mel_b", 0.01), ("wave_c", 0.02)):
        built.scores(root, name, error)
    built.ceilings(root)
    write(root, params(*NAMES))
    return root


def test_every_picture_is_drawn(root: Path) -> None:
    files = {path.name for path in (root / "report").glob("*.png")}
    assert files == {"comparison.png", "cosine.png", "rate_distortion.png", "bands.png", "curves.png", "ablation.png"}
    for file in files:
        assert matplotlib.image.imread(root / "report" / file)[..., :3].std() > 0.02


def test_only_what_there_is_is_drawn(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_mean", "mel", components=0)
    write(tmp_path, params("mel_mean", "mel_absent"))
    assert {path.name for path in (tmp_path / "report").glob("*.png")} == {"comparison.png"}
    assert len((tmp_path / "report" / "curves.csv").read_text().splitlines()) == 1


def test_variants_that_differ_in_their_loss_alone_are_compared(root: Path) -> None:
    settings = params("mel_a", "mel_b", "wave_c")
    settings["models"]["mel_b"]["loss"] = {"spectral": 0.0, "kl": {"beta": 0.02}}
    rows = table.rows(list(settings["models"]), root / "evaluation", settings)
    (found,) = ablation.ablations(rows, settings)
    assert [row.variant for row in found.rows] == ["mel_a", "mel_b"]
    assert found.keys == {"spectral": [0.1, 0.0], "kl.beta": [1.0, 0.02]}
    settings["models"]["mel_b"]["train"] = {"epochs": 3}
    assert ablation.ablations(rows, settings) == []


def test_a_default_that_is_written_out_is_no_difference(root: Path) -> None:
    settings = params("mel_a", "mel_b")
    settings["models"]["mel_b"]["loss"] = {"spectral": 0.3}
    settings["models"]["mel_b"]["network"]["norm"] = "batch"
    settings["models"]["mel_b"]["train"] = {"epochs": 7}
    settings["train"] = {"epochs": 7}
    rows = table.rows(list(settings["models"]), root / "evaluation", settings)
    assert [group.keys for group in ablation.ablations(rows, settings)] == [{"spectral": [0.1, 0.3]}]


def test_curves_hold_every_epoch_of_every_seed(root: Path) -> None:
    curves = pd.read_csv(root / "report" / "curves.csv")
    assert curves.groupby(["variant", "seed"]).size().to_dict() == {
        ("mel_a", 0): 20,
        ("mel_a", 1): 20,
        ("mel_b", 0): 100,
        ("wave_c", 0): 6,
    }
    assert set(curves["representation"]) == {"mel", "wave"} and curves["valid_mse"].notna().all()


def test_a_card_tells_what_a_variant_is_and_cannot_do(root: Path) -> None:
    card = (root / "report" / "cards" / "wave_c.md").read_text()
    assert card.startswith("# wave_c\n") and "dvc repro evaluate@wave_c" in card
    plain = card.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "nothing above 1.5 kHz" in plain and "the true windows have an error of 0.0300 on the common log-mel" in plain
    )
    assert "names 30.0 % rightly, chance 25.0 %" in plain and "| MSE, own scale | 0.00800 |" in plain
    baseline = (root / "report" / "cards" / "mel_mean.md").read_text()
    assert "A baseline" in baseline and "None: fitted to the training windows at once." in baseline
    assert "&" not in card + baseline  # text, which nothing has escaped


def test_cards_are_markdown_with_whole_tables(root: Path) -> None:
    for path in (root / "report" / "cards").glob("*.md"):
        lines = path.read_text().splitlines()
        for before, line in pairwise(lines):
            assert not (line.startswith("#") and before), f"{path.name}: no empty line before {line}"
            if line.startswith("|"):
                assert line.count("|") == 4 and (before.startswith("|") or before == "")


@pytest.mark.parametrize("file", ["models/mel_a/seed-0/history.csv", "evaluation/mel_a/bands.parquet",
                                  "evaluation/mel_a/windows.parquet", "reference/examples.parquet"])  # fmt: skip
def test_what_is_damaged_is_named(root: Path, file: str, tmp_path: Path) -> None:
    whole = (root / file).read_bytes()
    (root / file).write_bytes(b"\0")
    try:
        with pytest.raises(DataError, match=file.rpartition("/")[2].replace(".", r"\.")):
            write(root, params(*NAMES), tmp_path.name)
    finally:
        (root / file).write_bytes(whole)
