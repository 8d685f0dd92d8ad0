"""The examples of the Listen section, and the sounds below each picture."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.report.figures import read_figures
from pipeline.report.listen import find_examples
from pipeline.report.media import MediaEncoder
from pipeline.report.table import Row
from tests.report import inputs

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
