"""The same seconds of original, ceilings and every variant, to switch between at one position."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from pipeline.core.errors import DataError
from pipeline.report.figures import Chip, Figures
from pipeline.report.table import Row
from pipeline.report.text import digits


@dataclass(frozen=True)
class Choice:
    """One button: its name, what stands below, and the sound at a gain that puts it on the original's level."""

    name: str
    detail: str
    title: str
    sound: str
    gain: float
    role: str


@dataclass(frozen=True)
class Example:
    """One window of a recording."""

    number: int
    label: str
    track: str
    start: float | None
    choices: list[Choice]


def examples(found: list[Row], figures: dict[str, Figures], reference: Path) -> list[Example]:
    """Every example that was drawn, with the original, a ceiling per input and the variants in the order of `found`.

    Args:
        found: all rows.
        figures: of each variant.
        reference: holds examples.parquet, which says where an example begins.

    Raises:
        DataError: examples.parquet is there but cannot be read, or a sound cannot.
    """
    heard = [(row, figures[row.variant]) for row in found if row.variant in figures]
    numbers = sorted({chip.example for _, drawn in heard for chip in drawn.chips if chip.role == "original"})
    starts = _starts(reference / "examples.parquet")
    made = []
    for number in numbers:
        sets = [(row, _roles(drawn.chips, number)) for row, drawn in heard]
        sets = [(row, roles) for row, roles in sets if "original" in roles]
        first = sets[0][1]["original"]
        place = starts.get(number, {})
        track = str(place.get("track_id") or first.title.rpartition(",")[0] or first.title)
        made.append(Example(number, first.label, track, place.get("start_seconds"), _choices(sets)))
    return made


def _roles(chips: list[Chip], number: int) -> dict[str, Chip]:
    return {chip.role: chip for chip in chips if chip.example == number}


def _choices(sets: list[tuple[Row, dict[str, Chip]]]) -> list[Choice]:
    original = sets[0][1]["original"]
    levels = {row.variant: _level(roles["original"], original) for row, roles in sets}
    quietest = min(levels.values())

    def choice(name: str, detail: str, chip: Chip, row: Row, role: str) -> Choice:
        return Choice(name, detail, chip.title, chip.sound, round(quietest / levels[row.variant], 4), role)

    made = [choice("original", "", original, sets[0][0], "original")]
    inputs: dict[str, tuple[Row, Chip]] = {}
    for row, roles in sets:
        if "ceiling" in roles:
            inputs.setdefault(row.representation, (row, roles["ceiling"]))
    made += [choice("ceiling", name, chip, row, "ceiling") for name, (row, chip) in inputs.items()]
    for row, roles in sets:
        if "reconstruction" in roles:
            error = digits(row["mel_mse"]) if row["mel_mse"] is not None else ""
            made.append(choice(row.variant, error, roles["reconstruction"], row, row.role))
    return made


def _level(one: Chip, other: Chip) -> float:
    """How much louder the same sound is in one set of files than in another: a set that would clip is turned down."""
    if one.sound == other.sound:
        return 1.0
    a, b = (soundfile.read(chip.path, dtype="float32")[0] for chip in (one, other))
    if a.shape != b.shape:  # files of another rate: the sets cannot be compared sample by sample
        return 1.0
    energy = float(np.dot(b, b))
    found = float(np.dot(a, b)) / energy if energy else 1.0
    return found if found > 0 else 1.0


def _starts(path: Path) -> dict[int, dict[Any, Any]]:
    if not path.is_file():
        return {}
    try:
        table = pd.read_parquet(path, columns=["example", "track_id", "start_seconds"])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a usable table; run `dvc repro` to make it again") from error
    return {int(row["example"]): row for row in table.to_dict("records") if row["example"] >= 0}
