"""The examples of the Listen section, and the sounds below each picture."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import DataError
from pipeline.report.figures import read_clips, read_figures
from pipeline.report.listen import describe_inversions, find_examples
from pipeline.report.media import MediaEncoder
from pipeline.report.table import Row
from tests.report import inputs
from tests.report.parsed import Page

ROWS = [
    Row("mel_mean", "mel", True, "mel", role="baseline"),
    Row("mel_a", "mel", True, "mel", numbers={"mel_mse": 0.0123}),
    Row("wave_b", "wave", True, "waveform"),
    Row("true mel", "mel", True, "mel", role="ceiling"),
]


@pytest.fixture
def examples(tmp_path: Path) -> list[dict[str, Any]]:
    inputs.make_reference(tmp_path)
    for variant, gain in (("mel_mean", 0.5), ("mel_a", 0.8), ("wave_b", 0.5)):
        inputs.make_figures(tmp_path, variant, gain)
    with MediaEncoder() as encoder:
        clips = {row.variant: read_figures(tmp_path / "figures" / row.variant, encoder)[1] for row in ROWS[:3]}
        return find_examples(ROWS, clips, tmp_path / "reference")


def test_the_original_comes_first_then_ceilings_then_variants(examples: list[dict[str, Any]]) -> None:
    assert [(e["label"], e["track"], e["start"]) for e in examples] == [("waltz", "a/0", 5.0), ("jig", "b/0", 12.5)]
    for example in examples:
        assert [(version["name"], version["detail"]) for version in example["versions"]] == [
            ("original", ""),
            ("ceiling", "mel"),
            ("ceiling", "wave"),
            ("mel_mean", ""),
            ("mel_a", "0.0123"),
            ("wave_b", ""),
        ]


def test_codecs_are_heard_at_the_gain_of_the_others(tmp_path: Path) -> None:
    inputs.make_reference(tmp_path)
    inputs.make_figures(tmp_path, "mel_a", 0.8)
    inputs.make_others(tmp_path)
    codec = Row("Opus at 8 kbit/s", "", True, role="codec", folder=tmp_path / "reference/codec/opus-8")
    with MediaEncoder() as encoder:
        clips = {"mel_a": read_figures(tmp_path / "figures" / "mel_a", encoder)[1]}
        clips[codec.variant] = read_clips(codec.folder, codec.variant, encoder)
        examples = find_examples([ROWS[1], codec], clips, tmp_path / "reference")
    assert len(examples) == 2
    for example in examples:
        versions = {version["name"]: version for version in example["versions"]}
        assert list(versions) == ["original", "ceiling", "mel_a", "Opus at 8 kbit/s"]
        assert versions["Opus at 8 kbit/s"]["gain"] == 1  # written at a lower level than the variant's files
        assert versions["mel_a"]["gain"] == pytest.approx(0.25 / 0.4, abs=0.005)


def test_louder_files_are_turned_down_to_the_quietest(examples: list[dict[str, Any]]) -> None:
    gains = {version["name"]: version["gain"] for version in examples[0]["versions"] if version["role"] != "ceiling"}
    assert gains["mel_mean"] == gains["wave_b"] == gains["original"] == 1
    assert gains["mel_a"] == pytest.approx(0.5 / 0.8, abs=0.005)


def test_sounds_are_grouped_below_their_picture(tmp_path: Path) -> None:
    inputs.make_figures(tmp_path, "mel_a", transfers=True)
    with MediaEncoder() as encoder:
        figures, _ = read_figures(tmp_path / "figures" / "mel_a", encoder)
    groups = {
        figure["title"]: [(name, [clip.text for clip in clips]) for name, clips in figure["clips"].items()]
        for figure in figures
    }
    compared = ["original", "ceiling", "reconstruction"]
    assert groups["Reconstructions"] == [("Example 1", compared), ("Example 2", compared)]
    assert groups["Walks"] == [("", ["Linear-0", "Slerp-0"])]
    assert groups["Perturbations"] == [("", ["Perturbed-0-0", "Perturbed-0-1", "Perturbed-0-2"])]
    assert groups["Transfer"] == [("Example 1", ["to waltz", "to jig"])]
    assert groups["Training_curves"] == []
    assert [figure["title"] for figure in figures if figure["animation"]] == ["Progress"]


@pytest.mark.parametrize(
    ("uses", "scores", "sentence"),
    [
        (
            "vocoder",
            {"vocoder": 0.5, "griffin_lim": 0.75},
            "a vocoder: on validation windows it has a mel distance of 0.500 and an STFT distance of 1.00; "
            "Griffin-Lim with 32 iterations has a mel distance of 0.750 and an STFT distance of 1.50.",
        ),
        (
            "griffin_lim",
            {"vocoder": 0.8, "griffin_lim": 0.75},
            "Griffin-Lim with 32 iterations: on validation windows it has a mel distance of 0.750 and an STFT distance "
            "of 1.50; a vocoder has a mel distance of 0.800 and an STFT distance of 1.60.",
        ),
        ("griffin_lim", {}, "Griffin-Lim with 32 iterations."),
        ("vocoder", {}, "a vocoder."),
    ],
)
def test_a_sentence_says_what_turns_mels_into_audio_and_why(
    tmp_path: Path, uses: str, scores: dict[str, float], sentence: str
) -> None:
    inputs.make_vocoder(tmp_path, uses, **scores)
    assert describe_inversions(ROWS, tmp_path / "vocoders") == [f"Mels of mel become audio by {sentence}"]


def test_without_mels_or_a_file_there_is_no_sentence(tmp_path: Path) -> None:
    assert describe_inversions(ROWS, tmp_path / "vocoders") == []
    inputs.make_vocoder(tmp_path, "vocoder")
    assert describe_inversions([row for row in ROWS if row.kind == "waveform"], tmp_path / "vocoders") == []


@pytest.mark.parametrize("content", ["{", "{}", '{"uses": "magic", "iterations": 3}'])
def test_a_damaged_choice_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    inputs.make_vocoder(tmp_path, "vocoder")
    (tmp_path / "vocoders/mel/vocoder.json").write_text(content)
    with pytest.raises(DataError, match=r"vocoders/mel/vocoder\.json"):
        describe_inversions(ROWS, tmp_path / "vocoders")


def test_the_sentence_is_on_the_page(page: Page) -> None:
    assert "Mels of mel become audio by a vocoder: on validation windows it has a mel distance" in page.text
