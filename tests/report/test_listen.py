"""What can be heard side by side."""

from pathlib import Path

import pytest

from pipeline.report import figures, listen
from pipeline.report.media import Library
from pipeline.report.table import Row
from tests.report import built

ROWS = [
    Row("mel_mean", "mel", True, "mel", role="baseline"),
    Row("mel_a", "mel", True, "mel", numbers={"mel_mse": 0.0123}),
    Row("wave_b", "wave", True, "waveform"),
    Row("true mel", "mel", True, "mel", role="ceiling"),
]


@pytest.fixture
def examples(tmp_path: Path) -> list[listen.Example]:
    built.ceilings(tmp_path)
    built.figures(tmp_path, "mel_mean")
    built.figures(tmp_path, "mel_a", level=0.8)
    built.figures(tmp_path, "wave_b")
    with Library() as library:
        drawn = {row.variant: figures.read(tmp_path / "figures" / row.variant, library) for row in ROWS[:3]}
        return listen.examples(ROWS, drawn, tmp_path / "reference")


def test_original_then_a_ceiling_of_each_input_then_the_variants(examples: list[listen.Example]) -> None:
    assert [(e.label, e.track, e.start) for e in examples] == [("waltz", "a/0", 5.0), ("jig", "b/0", 12.5)]
    for example in examples:
        assert [(choice.name, choice.detail) for choice in example.choices] == [
            ("original", ""),
            ("ceiling", "mel"),
            ("ceiling", "wave"),
            ("mel_mean", ""),
            ("mel_a", "0.0123"),
            ("wave_b", ""),
        ]


def test_sets_of_files_at_other_levels_are_brought_to_the_quietest(examples: list[listen.Example]) -> None:
    gains = {choice.name: choice.gain for choice in examples[0].choices if choice.role != "ceiling"}
    assert gains["mel_mean"] == gains["wave_b"] == gains["original"] == 1
    assert gains["mel_a"] == pytest.approx(0.5 / 0.8, abs=0.005)


def test_what_was_drawn_is_grouped_below_its_picture(tmp_path: Path) -> None:
    built.figures(tmp_path, "mel_a", transfers=True)
    with Library() as library:
        shown = figures.read(tmp_path / "figures" / "mel_a", library).shown
    racks = {one.title: [(name, [chip.text for chip in chips]) for name, chips in one.racks] for one in shown}
    compared = ["original", "ceiling", "reconstruction"]
    assert racks["Reconstructions"] == [("Example 1", compared), ("Example 2", compared)]
    assert racks["Walks"] == [("", ["Linear-0", "Slerp-0"])]
    assert racks["Perturbations"] == [("", ["Perturbed-0-0", "Perturbed-0-1", "Perturbed-0-2"])]
    assert racks["Transfer"] == [("Example 1", ["to waltz", "to jig"])]
    assert [one.title for one in shown if one.moving] == ["Progress"] and racks["Training_curves"] == []
