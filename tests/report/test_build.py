"""The report: complete, self-contained, escaped, and honest about what is missing."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw
from pipeline.report import table
from pipeline.report.build import build, verdict
from tests import artefacts

NASTY = '<b>"&'
REJECTED = [
    {"path": "jig/<i>.wav", "start_seconds": None, "reason": "unreadable", "detail": "not a recording"},
    {"path": "jig/02.wav", "start_seconds": 10.0, "reason": "silent", "detail": "RMS -71 dB"},
    {"path": "jig/03.wav", "start_seconds": 15.0, "reason": "silent", "detail": None},
]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style and script."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def params(*variants: str) -> dict[str, Any]:
    models = {name: {"representation": name.split("_")[0], "network": {"type": "conv2d"}} for name in variants}
    return {"seeds": [0], "source": {"name": "synth"}, "models": models}


def write(root: Path, settings: dict[str, Any], name: str = "report") -> Page:
    out = root / name
    out.mkdir()
    places = (root / "evaluation", root / "figures", root / "windows", root / "raw" / "tracks.parquet")
    build(list(settings["models"]), *places, settings, out)
    return Page((out / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two mel variants and a collapsed waveform variant with a label that looks like HTML; one is not evaluated."""
    root = tmp_path_factory.mktemp("data")
    artefacts.make_data(root, REJECTED, [NASTY, "waltz"])
    artefacts.make_variant(root, "mel_good", "mel", amount=0.1)
    artefacts.make_variant(root, "mel_poor", "mel", amount=0.5)
    collapsed = {"collapsed": True, "collapse_reason": "active units under 5 %", "elbo": None, "kl": float("nan")}
    artefacts.make_variant(root, "wave_flat", "waveform", labels=[NASTY, "waltz"], metrics={**collapsed, "kl": None})
    out = root / "figures" / "wave_flat"
    out.mkdir(parents=True)
    draw("wave_flat", root / "models", root / "evaluation", out, FiguresConfig(dpi=50, griffin_lim_iterations=1))
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> Page:
    return write(root, params("mel_good", "mel_poor", "wave_flat", "mel_absent"))


def test_the_page_needs_nothing_but_itself(page: Page, root: Path) -> None:
    links = [value for _, attributes in page.tags for key in ("src", "href", "srcset", "action", "data")
             if (value := attributes.get(key))]  # fmt: skip
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in (root / "report" / "index.html").read_text(encoding="utf-8")
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= ids


def test_it_says_at_the_top_what_won_and_by_how_much(page: Page) -> None:
    headline = page.text[: page.text.index("MSE 0.00600")]
    assert "mel_good has the lowest error: 23.4 % of what predicting the training mean leaves." in headline
    assert "Next on the same input is mel_poor with 0.0140; their intervals do not overlap." in page.text


def test_names_from_files_are_escaped(page: Page, root: Path) -> None:
    source = (root / "report" / "index.html").read_text(encoding="utf-8")
    assert "b" not in {tag for tag, _ in page.tags} and "i" not in {tag for tag, _ in page.tags}
    assert "<b>" not in source and "jig/<i>" not in source
    assert NASTY in page.text and "jig/<i>.wav" in page.text


def test_rejected_files_are_counted_and_listed_with_their_reasons(page: Page) -> None:
    assert "Could not be used: silent (2), unreadable (1)" in page.text
    assert "Could not be used 1 file and 2 windows" in page.text
    assert "jig/02.wav 1 window from 10 s silent RMS -71 dB" in page.text
    assert "jig/<i>.wav whole file unreadable not a recording" in page.text


def test_every_rejected_file_is_listed_and_its_windows_are_one_line(tmp_path: Path) -> None:
    many = [{**REJECTED[1], "path": f"{i}.wav", "start_seconds": 5.0 * w} for i in range(120) for w in range(3)]
    artefacts.make_data(tmp_path, many)
    text = write(tmp_path, params("mel_absent")).text
    assert all(f" {i}.wav 3 windows from 0 s silent RMS -71 dB" in text for i in range(120))
    assert "silent (360)" in text


def test_what_is_left_out_on_purpose_is_no_fault(tmp_path: Path) -> None:
    excluded = {"path": "a.wav", "start_seconds": None, "reason": "excluded", "detail": "not in the lists"}
    copy = {"path": "b.wav", "start_seconds": None, "reason": "duplicate", "detail": "the same audio as c.wav"}
    artefacts.make_data(tmp_path, [excluded, copy, {**excluded, "path": "d.wav"}])
    text = write(tmp_path, params("mel_absent")).text
    assert "On purpose: excluded by the source (2), copies of others (1)" in text
    assert "Could not be used:" not in text and "Could not be used nothing" in text
    assert "a.wav whole file excluded not in the lists" in text


def test_treatments_are_counted_and_listed(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    assert "Treated Nothing: every recording is mono" in write(tmp_path, params("mel_absent"), "plain").text
    windows, tracks = tmp_path / "windows" / "windows.parquet", tmp_path / "raw" / "tracks.parquet"
    frame = pd.read_parquet(windows)
    frame["repair"] = pd.Series(["limited", "limited", None, None, None, "limited, padded"])
    frame["copy_of"] = pd.Series([None] * 6 + ["ballad/0.wav"] * 6)
    frame.to_parquet(windows)
    heard = pd.read_parquet(tracks)
    heard.loc[:2, "channels"] = 2
    heard.loc[0, ["sample_rate", "frames"]] = 48000, 30 * 48000
    unused = {**heard.iloc[0].to_dict(), "track_id": "bad", "path": "bad.wav", "frames": 2**60, "channels": 1000}
    pd.concat([heard, pd.DataFrame([unused])]).to_parquet(tracks)
    text = write(tmp_path, params("mel_absent")).text
    assert "Recordings 16 of 17 used, 8.0 min Sample rates 22.05 kHz (15), 48 kHz (1)" in text
    assert "3 recordings mixed to mono" in text and "1 recording kept on one side of the split with another" in text
    assert "3 windows limited to [-1, 1]" in text and "1 window padded with zeros: the" in text
    assert "ballad/0.wav 2 windows limited; 1 window limited, padded" in text
    assert "ballad/1.wav the same audio as ballad/0.wav" in text


def test_labels_that_only_train_has_are_named(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    path = tmp_path / "windows" / "windows.parquet"
    windows = pd.read_parquet(path)
    assert "Only in train" not in write(tmp_path, params("mel_absent"), "before").text
    windows.loc[windows["label"].isin(["ballad", "march"]), "split"] = "train"
    windows.to_parquet(path)
    assert (
        "Only in train, for want of groups to share out: ballad, march." in write(tmp_path, params("mel_absent")).text
    )


def test_counts_hours_and_groups(page: Page) -> None:
    assert f"{NASTY} 12 6 6 24 waltz 12 6 6 24 All windows 24 12 12 48" in page.text
    assert "Duration 2.0 min 1.0 min 1.0 min 4.0 min Groups 2 2 2 6" in page.text
    assert "6, none on two sides of the split" in page.text


def test_a_group_on_two_sides_of_the_split_is_not_hidden(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    path = tmp_path / "windows" / "windows.parquet"
    windows = pd.read_parquet(path)
    windows.loc[windows["split"] == "test", "group"] = "ballad/1"
    windows.to_parquet(path)
    text = write(tmp_path, params("mel_absent")).text
    assert "of which 1 lie on two sides of the split" in text and "Nothing: every recording is used." in text


def test_what_is_missing_is_said(page: Page) -> None:
    assert "mel_absent mel not evaluated" in page.text
    assert "Not evaluated: there are no metrics of this variant." in page.text
    assert page.text.count("No figures: none were drawn of this variant.") == 3
    assert "Collapsed: active units under 5 %." in page.text


def test_pictures_have_texts_and_players_have_names(page: Page) -> None:
    assert len(page.attributes("img", "alt")) == len(page.attributes("img", "src")) == 1 + 5
    assert all(len(text) > 20 for text in page.attributes("img", "alt"))
    assert len(page.attributes("audio", "aria-label")) == len(page.attributes("audio", "src")) == 2 * 2 + 2
    assert all(source.startswith("data:audio/wav;base64,") for source in page.attributes("audio", "src"))


def test_tables_have_headers_with_a_scope(page: Page) -> None:
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headers and all(attributes.get("scope") in ("col", "row") for attributes in headers)


def test_it_tells_how_to_reproduce(page: Page) -> None:
    assert "representation: mel" in page.text and "make repro" in page.text and "scikit-learn" in page.text


def test_comparison_files_hold_numbers_or_nothing(page: Page, root: Path) -> None:
    compared = json.loads((root / "report" / "comparison.json").read_text())
    assert list(compared) == sorted(["mel_good", "mel_poor", "wave_flat", "mel_absent"])
    values = [value for metrics in compared.values() for value in metrics.values()]
    assert all(value is None or isinstance(value, float) for value in values)
    assert compared["mel_good"]["mse"] == pytest.approx(0.006)
    assert compared["wave_flat"]["kl"] is None and compared["wave_flat"]["collapsed"] == 1
    assert set(compared["mel_absent"].values()) == {None}
    with (root / "report" / "comparison.csv").open(newline="") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert rows["mel_poor"]["mse_low"] and rows["mel_absent"]["mse"] == "" and rows["mel_absent"]["evaluated"] == "0"
    assert matplotlib.image.imread(root / "report" / "comparison.png")[..., :3].std() > 0.02


def test_only_the_variants_of_the_params_are_reported(root: Path) -> None:
    assert "mel_poor" not in write(root, params("mel_good"), "one").text


def test_not_a_number_counts_as_no_value(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    path = tmp_path / "evaluation" / "mel_a" / "metrics.json"
    path.write_text(re.sub(r'"mse": [^,]+', '"mse": NaN', path.read_text()))
    (row,) = table.rows(["mel_a"], tmp_path / "evaluation", params("mel_a"))
    assert row["mse"] is None and row["mse_relative"] is None and row["kl"] == 182.4
    assert verdict([row])["headline"] == "No variant has a result to compare yet."


def test_pca_at_the_same_size_is_set_beside_each_variant(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=70)
    artefacts.make_variant(tmp_path, "mel_mean", "mel", components=0)
    artefacts.make_variant(tmp_path, "mel_a", "mel", amount=0.0, config={"network": {"skip": True}})
    artefacts.make_variant(tmp_path, "mel_wide", "mel", metrics={"latent_dims": 71})
    codes = {"perplexity": 20.0, "perplexity_share": 0.3125, "active_units": None}
    artefacts.make_variant(tmp_path, "mel_codes", "mel", metrics=codes)
    artefacts.make_variant(tmp_path, "wave_b", "waveform", config={"scaling": "rms"})
    names = ("mel_pca", "mel_mean", "mel_a", "mel_wide", "mel_codes", "wave_b")
    found = {row.variant: row for row in table.rows(list(names), tmp_path / "evaluation", params(*names))}
    assert found["mel_a"]["mse_pca"] == pytest.approx(0.0256 * 0.97**64)
    assert found["mel_a"]["pca_ratio"] == pytest.approx(0.004 / (0.0256 * 0.97**64))
    assert all(found[name]["mse_pca"] is None for name in names if name != "mel_a")
    page = write(tmp_path, params(*names))
    assert "skip connections pass the latent by" in page.text and "and the window's level (rms)" in page.text
    assert "31.2 % perplexity 20.0" in page.text and page.text.count("baseline") >= 6
    compared = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert compared["mel_a"]["pca_ratio"] == found["mel_a"]["pca_ratio"]
    assert compared["mel_codes"]["perplexity_share"] == 0.3125


def test_a_baseline_does_not_win(tmp_path: Path) -> None:
    artefacts.make_variant(tmp_path, "mel_pca", "mel", components=70, metrics={"mse": 0.001})
    artefacts.make_variant(tmp_path, "mel_a", "mel")
    rows = table.rows(["mel_pca", "mel_a"], tmp_path / "evaluation", params("mel_pca", "mel_a"))
    assert verdict(rows)["best"] == "mel_a" and table.ranked(rows)[0].variant == "mel_pca"
    assert "what PCA leaves with as many components" in verdict(rows)["detail"]
    assert "No variant has a result" in verdict(rows[:1])["headline"]


def test_no_winner_is_made_up() -> None:
    def row(name: str, relative: float, collapsed: bool = False) -> table.Row:
        numbers = {"mse": relative, "mse_mean": 1.0, "mse_relative": relative, "collapsed": float(collapsed)}
        return table.Row(name, "mel", True, numbers=numbers)

    assert verdict([row("a", 0.2, collapsed=True), row("b", 0.9)])["best"] == "b"
    assert "No variant does better" in verdict([row("a", 1.2)])["headline"]
    assert verdict([row("a", 0.2, collapsed=True)])["headline"] == "Every variant that was scored has collapsed."


def test_damaged_input_is_named(tmp_path: Path) -> None:
    artefacts.make_data(tmp_path, [])
    (tmp_path / "windows" / "rejected.parquet").write_bytes(b"none")
    with pytest.raises(DataError, match=r"rejected\.parquet"):
        write(tmp_path, params("mel_a"))
    folder = tmp_path / "evaluation" / "mel_a"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json"):
        write(tmp_path, params("mel_a"), "again")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0062, "0.00620"), (0.9712, "0.971"), (0.0, "0.00"), (51234.5, "51,234"), (-1234.0, "-1,234"),
     (182.4, "182"), (2.5e-6, "2.50e-06")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert table.digits(value) == text


def test_sizes_and_shares() -> None:
    assert [table.size(n) for n in (None, 812, 812_300, 1_234_567)] == ["–", "812", "812 k", "1.23 M"]
    assert [table.percent(x) for x in (None, 0.2421, 1.31)] == ["–", "24.2 %", "131 %"]
    assert [table.times(x) for x in (None, 0.9753, 1.314)] == ["–", "0.975 ×", "1.31 ×"]
    assert [table.count(x) for x in (None, 64.0, 58.5, 1200)] == ["–", "64", "58.5", "1,200"]


def test_it_says_so_where_skips_pass_by_the_latent(root: Path) -> None:
    settings = params("mel_good", "mel_poor")
    assert "Skip connections" not in write(root, settings, "without").text
    settings["models"]["mel_poor"]["network"]["skip"] = True
    assert write(root, settings, "with").text.count("Skip connections are on") == 1


def test_flat_samples_and_transfers_are_said(tmp_path: Path) -> None:
    found = {"samples_flat": True, "samples_flat_reason": "samples differ 0.02 times as much as the data"}
    transfer = {"transfer_accuracy": 0.35, "transfer_chance": 0.1, "probe_accuracy": 0.72}
    artefacts.make_data(tmp_path, REJECTED, ["waltz"])
    artefacts.make_variant(tmp_path, "mel_flat", "mel", metrics=found | transfer)
    artefacts.make_variant(tmp_path, "mel_fine", "mel")
    page = write(tmp_path, params("mel_flat", "mel_fine"))
    assert page.text.count("Samples are flat: samples differ 0.02 times as much as the data.") == 1
    assert page.text.count("samples are flat") == 1
    assert "35.0 % of the windows that were transferred to another label that label (chance 10.0 %)" in page.text
