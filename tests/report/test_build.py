"""The page: it needs no other file, escapes text, and states what is missing."""

import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw_variant
from tests import artefacts
from tests.report.conftest import HTML_LABEL, NAMES, REJECTED
from tests.report.inputs import make_params
from tests.report.parsed import Page, write


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A data folder without variants and without rejected recordings."""
    artefacts.make_data(tmp_path, [])
    return tmp_path


def test_the_page_needs_no_other_file(page: Page, data: Path) -> None:
    links = [value for _, attributes in page.tags for key in ("src", "href", "srcset", "action", "data")
             if (value := attributes.get(key))]  # fmt: skip
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "url(" not in (data / "report" / "index.html").read_text(encoding="utf-8")
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert {link[1:] for link in links if link.startswith("#")} <= ids


def test_text_from_files_is_escaped(page: Page, data: Path) -> None:
    html = (data / "report" / "index.html").read_text(encoding="utf-8")
    assert not {"b", "i"} & {tag for tag, _ in page.tags}
    assert "<b>" not in html and "jig/<i>" not in html
    assert HTML_LABEL in page.text and "jig/<i>.wav" in page.text


def test_right_to_left_names_are_isolated(tmp_path: Path) -> None:
    rejected = {"path": "שיר/01/عربي.wav", "start_seconds": None, "reason": "silent", "detail": "שיר 1", "seconds": 1.0}
    artefacts.make_data(tmp_path, [rejected], ["שיר", "古典"])
    artefacts.make_variant(tmp_path, "mel_a", "mel", labels=["שיר", "古典"])
    (tmp_path / "figures" / "mel_a").mkdir(parents=True)
    draw_variant("mel_a", tmp_path, tmp_path / "figures" / "mel_a", FiguresConfig(dpi=50))
    text = write(tmp_path, make_params("mel_a")).text
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<bdi>שיר</bdi>/<bdi>01</bdi>/<bdi>عربي.wav</bdi></td>" in html and "<bdi>שיר 1</bdi></td>" in html
    assert "Example 1, שיר" in text and "Example 1, <bdi>שיר</bdi>" in re.sub(r"\s+", " ", html)
    assert '<strong dir="auto">שיר</strong><small><bdi>' in html


def test_rejected_files_are_counted_and_listed_with_their_reasons(page: Page) -> None:
    assert "Unusable: silent (2, 10.0 s), truncated (1, 1.5 min), unreadable (1)" in page.text
    assert "Unusable 1 file, 2 windows, 1 missing end" in page.text
    assert "waltz/0.wav 1 window from 10 s silent RMS -71 dB" in page.text
    assert "waltz/1.wav from 20 s truncated ends" in page.text
    assert "jig/<i>.wav whole file unreadable not a recording" in page.text


def test_every_rejected_file_has_one_line_for_its_windows(tmp_path: Path) -> None:
    many = [{**REJECTED[1], "path": f"{i}.wav", "start_seconds": 5.0 * w} for i in range(120) for w in range(3)]
    artefacts.make_data(tmp_path, many)
    text = write(tmp_path, make_params("mel_absent")).text
    assert all(f" {i}.wav 3 windows from 0 s silent RMS -71 dB" in text for i in range(120))
    assert "silent (360, 30.0 min)" in text


def test_intentional_omissions_are_no_faults(tmp_path: Path) -> None:
    excluded = {"path": "a.wav", "start_seconds": None, "reason": "excluded", "detail": "not in the lists"}
    copy = {"path": "b.wav", "start_seconds": None, "reason": "duplicate", "detail": "the same audio as c.wav"}
    artefacts.make_data(tmp_path, [excluded, copy, {**excluded, "path": "d.wav"}])
    text = write(tmp_path, make_params("mel_absent")).text
    assert "Intentional: excluded by the source (2), copies of other recordings (1)" in text
    assert "Unusable:" not in text and "Unusable nothing" in text
    assert "a.wav whole file excluded not in the lists" in text


def test_repairs_are_counted_and_listed(empty: Path) -> None:
    assert "Repaired Nothing: every recording is mono" in write(empty, make_params("mel_absent"), "before").text
    windows_file, recordings_file = empty / "windows" / "windows.parquet", empty / "windows" / "recordings.parquet"
    tracks_file = empty / "raw" / "tracks.parquet"
    windows, recordings, tracks = (pd.read_parquet(file) for file in (windows_file, recordings_file, tracks_file))
    windows["repair"] = pd.Series(["limited", "limited", None, None, None, "limited, padded"])
    windows["copy_of"] = pd.Series([None] * 6 + ["ballad/0.wav"] * 6)
    windows.to_parquet(windows_file)
    recordings.loc[:2, "channels"] = 2
    recordings.loc[0, "sample_rate"] = 48000
    silent = {"track_id": "bad", "path": "bad.wav", "sample_rate": 48000, "channels": 8, "seconds": 120.0}
    pd.concat([recordings, pd.DataFrame([silent])]).to_parquet(recordings_file)
    unused = {**tracks.iloc[0].to_dict(), "track_id": "bad", "path": "bad.wav"}
    pd.concat([tracks, pd.DataFrame([unused])]).to_parquet(tracks_file)
    text = write(empty, make_params("mel_absent")).text
    assert (
        "Recordings 16 of 17 used, 8.0 min Sound 10.0 min, 8.0 min in windows, 2.0 min in ends that are shorter" in text
    )
    assert "Sample rates 22.05 kHz (15), 48 kHz (1)" in text
    assert "3 recordings mixed to mono" in text
    assert "1 recording kept in the same split as another one with the same audio" in text
    assert "3 windows limited to [-1, 1]" in text and "1 window padded with zeros, because the" in text
    assert "ballad/0.wav 2 windows limited; 1 window limited, padded" in text
    assert "ballad/1.wav the same audio as ballad/0.wav" in text


def test_labels_that_are_only_in_train_are_named(empty: Path) -> None:
    path = empty / "windows" / "windows.parquet"
    windows = pd.read_parquet(path)
    assert "only in train" not in write(empty, make_params("mel_absent"), "before").text
    windows.loc[windows["label"].isin(["ballad", "march"]), "split"] = "train"
    windows.to_parquet(path)
    text = write(empty, make_params("mel_absent")).text
    assert "too few groups to split, so they are only in train: ballad, march." in text


def test_labels_far_from_the_shares_are_named(empty: Path) -> None:
    text = write(empty, make_params("mel_absent"), "before").text
    assert "far from the shares 70/15/15 %" in text and "march 50/25/25" in text
    params = {**make_params("mel_absent"), "windows": {"splits": {"train": 0.5, "valid": 0.25, "test": 0.25}}}
    assert "far from the shares" not in write(empty, params).text


def test_counts_hours_and_groups(page: Page) -> None:
    assert f"{HTML_LABEL} 12 6 6 24 waltz 12 6 6 24 All windows 24 12 12 48" in page.text
    assert "Duration 2.0 min 1.0 min 1.0 min 4.0 min Groups 2 2 2 6" in page.text
    assert "6, none in more than one split" in page.text
    assert "Sound 4.0 min, 4.0 min in windows, 10.0 s unusable Sample rates" in page.text


def test_a_group_in_two_splits_is_reported(empty: Path) -> None:
    path = empty / "windows" / "windows.parquet"
    windows = pd.read_parquet(path)
    windows.loc[windows["split"] == "test", "group"] = "ballad/1"
    windows.to_parquet(path)
    text = write(empty, make_params("mel_absent")).text
    assert "Groups 8, 1 in more than one split" in text and "Nothing: every recording is used." in text


def test_table_headers_have_a_scope(page: Page) -> None:
    headers = [attributes for tag, attributes in page.tags if tag == "th"]
    assert headers and all(attributes.get("scope") in ("col", "row") for attributes in headers)


def test_the_best_variant_and_its_lead_are_at_the_top(page: Page) -> None:
    top = page.text[: page.text.index("Error on the common log-mel")]
    assert "5 variants and 1 baseline, trained on the same recordings with seed 0, and evaluated" in top
    assert "mel_a has the lowest error of all trained variants." in top
    assert (
        "common log-mel all inputs mel_a 64 numbers 0.00720" in top and "mel own scale mel_a 64 numbers 0.00600" in top
    )
    assert top.count("mel_b 64 numbers +1") == 2 and top.count(" yes ") == 2


def test_the_page_and_the_card_say_whether_intervals_cover_seeds(empty: Path) -> None:
    for seeds, named, text in (
        ((0, 3), "with seeds 0, 3, and", "other recordings and other seeds would change."),
        ((4,), "with seed 4, and", "other recordings would change, but not what another seed would change."),
    ):
        variant = f"mel_{len(seeds)}"
        artefacts.make_variant(empty, variant, "mel", seeds=seeds)
        page = write(empty, make_params(variant) | {"seeds": list(seeds)}, variant)
        assert named in page.text and page.text.count(text) == 3  # below the leads, above the table, on the card


def test_missing_results_are_stated(page: Page) -> None:
    assert "mel_absent mel mel not evaluated" in page.text
    assert page.text.count("Not evaluated: this variant has no metrics.") == 1
    assert page.text.count("No figures were drawn for this variant.") == 3
    assert "Collapsed: active units under 5 %." in page.text


def test_pictures_have_texts_and_sounds_have_titles(page: Page) -> None:
    texts = page.attributes("img", "alt")
    assert len(texts) == len(page.attributes("img", "src")) == 6 + 3 * 7 and all(len(text) > 20 for text in texts)
    assert all(source.startswith("data:image/webp;base64,") for source in page.attributes("img", "src"))
    buttons = [attributes for tag, attributes in page.tags if tag == "button" and "data-sound" in attributes]
    assert all(len(attributes["title"] or "") > 3 for attributes in buttons)
    stored = {attributes["id"] for tag, attributes in page.tags if tag == "script" and "data-media" in attributes}
    assert {attributes["data-sound"] for attributes in buttons} == stored


def test_each_sound_is_stored_once(data: Path, page: Page) -> None:
    files = [path.read_bytes() for path in data.rglob("*.wav")]
    assert len(page.attributes("script", "data-media")) == len(set(files)) < len(files)


def test_the_page_states_how_to_reproduce_it(page: Page) -> None:
    assert "representation: mel" in page.text and "make repro" in page.text and "soxr" in page.text
    for name in NAMES:
        assert f"dvc repro evaluate@{name}" in page.text
    assert "seed 0: 6 epochs, selected epoch" in page.text
    assert "The MLflow run of seed 1 has the tag `fingerprint` = `trained-1`." in page.text


def test_skip_connections_are_stated(data: Path) -> None:
    params = make_params("mel_a", "mel_b")
    assert "skip connections" not in write(data, params, "without").text
    params["models"]["mel_b"]["network"]["skip"] = True
    assert write(data, params, "with").text.count("This variant has skip connections") == 1


def test_only_the_variants_of_the_params_are_reported(data: Path) -> None:
    assert "mel_b" not in write(data, make_params("mel_a"), "one").text
    assert not (data / "one" / "cards" / "mel_b.md").exists()
