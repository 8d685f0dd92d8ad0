"""The report: complete, self-contained, escaped, and honest about what is missing."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.errors import DataError
from tests import artefacts
from tests.report import built
from tests.report.built import params
from tests.report.parsed import Page, write

NASTY = '<b>"&'
REJECTED = [
    {"path": "jig/<i>.wav", "start_seconds": None, "reason": "unreadable", "detail": "not a recording"},
    {"path": "jig/02.wav", "start_seconds": 10.0, "reason": "silent", "detail": "RMS -71 dB"},
    {"path": "jig/03.wav", "start_seconds": 15.0, "reason": "silent", "detail": None},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two mel variants and a collapsed waveform variant with a label that looks like HTML; one is not evaluated."""
    root = tmp_path_factory.mktemp("data")
    artefacts.make_data(root, REJECTED, [NASTY, "waltz"])
    artefacts.make_variant(root, "mel_good", "mel", amount=0.1)
    artefacts.make_variant(root, "mel_poor", "mel", amount=0.5)
    collapsed = {"collapsed": True, "collapse_reason": "active units under 5 %", "elbo": None, "kl": None}
    artefacts.make_variant(root, "wave_flat", "waveform", labels=[NASTY, "waltz"], metrics=collapsed)
    built.scores(root, "mel_good", 0.006)
    built.scores(root, "mel_poor", 0.014)
    built.ceilings(root)
    built.figures(root, "mel_good", transfers=True)
    built.figures(root, "wave_flat")
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


def test_tables_have_headers_with_a_scope(page: Page) -> None:
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headers and all(attributes.get("scope") in ("col", "row") for attributes in headers)


def test_it_tells_how_to_reproduce(page: Page) -> None:
    assert "representation: mel" in page.text and "make repro" in page.text and "scikit-learn" in page.text


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


def test_it_says_at_the_top_what_won_and_by_how_much(page: Page) -> None:
    top = page.text[: page.text.index("Error on the common log-mel")]
    assert "2 variants" not in top and "4 variants, trained on the same recordings" in top
    assert (
        "mel_good has the lowest error of all trained variants: 23.5 % of what predicting the training mean leaves."
        in top
    )
    assert "common log-mel all inputs mel_good 0.00720" in top and "mel own scale mel_good 0.00600" in top
    assert top.count("mel_poor +1") == 2 and top.count("settled") >= 2


def test_what_is_missing_is_said(page: Page) -> None:
    assert "mel_absent mel mel not evaluated" in page.text
    assert page.text.count("Not evaluated: there are no metrics of this variant.") == 1
    assert page.text.count("No figures: none were drawn of this variant.") == 2
    assert "Collapsed: active units under 5 %." in page.text


def test_pictures_have_texts_and_sounds_have_names(page: Page) -> None:
    images = page.attributes("img", "alt")
    assert len(images) == len(page.attributes("img", "src")) >= 7 + 6 and all(len(text) > 20 for text in images)
    assert all(source.startswith("data:image/webp;base64,") for source in page.attributes("img", "src"))
    sounds = [attributes for tag, attributes in page.tags if tag == "button" and "data-sound" in attributes]
    assert all(len(attributes["title"] or "") > 3 for attributes in sounds)
    kept = {attributes["id"] for tag, attributes in page.tags if tag == "script" and "data-media" in attributes}
    assert {attributes["data-sound"] for attributes in sounds} == kept


def test_each_sound_is_there_once(root: Path, page: Page) -> None:
    files = [path.read_bytes() for path in (root / "figures").rglob("*.wav")]
    kept = [attributes for tag, attributes in page.tags if tag == "script" and "data-media" in attributes]
    assert len(kept) == len(set(files)) < len(files)


def test_every_variant_says_how_to_make_it_again(page: Page) -> None:
    for name in ("mel_good", "mel_poor", "wave_flat", "mel_absent"):
        assert f"dvc repro evaluate@{name}" in page.text
    assert "seed 0: 6 epochs in 12 s, the weights of epoch" in page.text


def test_it_says_so_where_skips_pass_by_the_latent(root: Path) -> None:
    settings = params("mel_good", "mel_poor")
    assert "Skip connections" not in write(root, settings, "without").text
    settings["models"]["mel_poor"]["network"]["skip"] = True
    assert write(root, settings, "with").text.count("Skip connections are on") == 1


def test_only_the_variants_of_the_params_are_reported(root: Path) -> None:
    assert "mel_poor" not in write(root, params("mel_good"), "one").text
    assert not (root / "one" / "cards" / "mel_poor.md").exists()
