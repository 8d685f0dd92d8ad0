"""The Listen section: the same excerpt as original, as ceilings and from every variant, at one gain."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline.core.artefacts import read_table
from pipeline.report.figures import Clip, VariantFigures
from pipeline.report.formatting import digits
from pipeline.report.table import Row


@dataclass(frozen=True)
class Version:
    """One button: its name, the small print below, the sound, and the gain that matches it to the others."""

    name: str
    detail: str
    title: str
    sound: str
    gain: float
    role: str


@dataclass(frozen=True)
class Example:
    """One excerpt of a recording; `start` is in seconds."""

    label: str
    track: str
    start: float | None
    versions: list[Version]


def find_examples(rows: list[Row], figures: dict[str, VariantFigures], reference: Path) -> list[Example]:
    """Every example that was drawn: the original, one ceiling per input, and the variants in the order of `rows`.

    `reference` holds examples.parquet, which has the track and the start of each example.

    Raises:
        DataError: examples.parquet is damaged.
    """
    drawn = [(row, figures[row.variant].clips) for row in rows if row.variant in figures]
    numbers = sorted({clip.example for _, clips in drawn for clip in clips if clip.role == "original"})
    origins = _origins(reference / "examples.parquet")
    examples = []
    for number in numbers:
        by_role = [(row, {clip.role: clip for clip in clips if clip.example == number}) for row, clips in drawn]
        by_role = [(row, roles) for row, roles in by_role if "original" in roles]
        original, origin = by_role[0][1]["original"], origins.get(number, {})
        track = str(origin.get("track_id") or original.title.rpartition(",")[0] or original.title)
        examples.append(Example(original.label, track, origin.get("start_seconds"), _versions(by_role)))
    return examples


def _origins(path: Path) -> dict[int, dict[Any, Any]]:
    if not path.is_file():
        return {}
    table = read_table(path, ["example", "track_id", "start_seconds"])
    return {int(row["example"]): row for row in table.to_dict("records") if row["example"] >= 0}


def _versions(by_role: list[tuple[Row, dict[str, Clip]]]) -> list[Version]:
    first, first_roles = by_role[0]
    # The files of a variant share one gain, which is lower if one of them would clip: match all to the quietest.
    gains = {row.variant: _gain(roles["original"], first_roles["original"]) for row, roles in by_role}
    quietest = min(gains.values())

    def version(name: str, detail: str, clip: Clip, row: Row, role: str) -> Version:
        return Version(name, detail, clip.title, clip.sound, round(quietest / gains[row.variant], 4), role)

    versions = [version("original", "", first_roles["original"], first, "original")]
    ceilings: dict[str, tuple[Row, Clip]] = {}
    for row, roles in by_role:
        if "ceiling" in roles:
            ceilings.setdefault(row.representation, (row, roles["ceiling"]))
    versions += [version("ceiling", name, clip, row, "ceiling") for name, (row, clip) in ceilings.items()]
    for row, roles in by_role:
        if "reconstruction" in roles:
            error = digits(row["mel_mse"]) if row["mel_mse"] is not None else ""
            versions.append(version(row.variant, error, roles["reconstruction"], row, row.role))
    return versions


def _gain(clip: Clip, base: Clip) -> float:
    """The gain of `clip` relative to `base`, which contains the same audio."""
    if clip.sound == base.sound:
        return 1.0
    a, b = (soundfile.read(one.path, dtype="float32")[0] for one in (clip, base))
    if a.shape != b.shape:  # different sample rates
        return 1.0
    energy = float(np.dot(b, b))
    gain = float(np.dot(a, b)) / energy if energy else 1.0
    return gain if gain > 0 else 1.0
