"""What the figures stage left of each variant: pictures, animations and sounds, by what they show."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.workspace import read_json
from pipeline.report.media import Library, Picture

COMPARED = ("original", "ceiling", "reconstruction")  # heard side by side, so kept without loss
# Which sounds belong below which picture, and what stands before them.
BELOW = {
    "reconstructions.png": ("original", "ceiling", "reconstruction"),
    "walks.png": ("linear", "slerp"),
    "perturbations.png": ("perturbed",),
    "samples.png": ("sample",),
    "transfer.png": ("transfer",),
}
SMALL = {"latent_pca.png", "components.png", "genre_distances.png"}


@dataclass(frozen=True)
class Chip:
    """A sound as a button: what it says, what it is called for those who cannot see, and the sound's name."""

    text: str
    title: str
    sound: str
    example: int
    role: str
    label: str
    path: Path


@dataclass(frozen=True)
class Shown:
    """A picture of a variant with the sounds that belong to it, in groups."""

    title: str
    caption: str
    picture: Picture
    moving: Picture | None
    small: bool
    racks: list[tuple[str, list[Chip]]]
    notes: list[str]


@dataclass(frozen=True)
class Figures:
    """All of one variant's."""

    shown: list[Shown]
    chips: list[Chip]
    notes: dict[str, str]  # role: how such a sound was made


def read(folder: Path, library: Library) -> Figures:
    """Of a folder with figures.json; nothing where nothing was drawn.

    Raises:
        DataError: figures.json, or a file that it names, cannot be read.
    """
    path = folder / "figures.json"
    if not path.is_file():
        return Figures([], [], {})
    try:
        entries = list(read_json(path))
        sounds = [entry for entry in entries if entry["kind"] == "audio"]
        chips = [_chip(entry, folder, library) for entry in sounds]
        chips.sort(key=_order)
        notes: dict[str, str] = {}
        for entry in sounds:
            notes.setdefault(str(entry["role"]), str(entry["caption"]))
        drawn = [entry for entry in entries if entry["kind"] != "audio"]
        return Figures([_shown(entry, folder, library, chips, notes) for entry in drawn], chips, notes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: it, or a file that it names, cannot be read; run `dvc repro` to draw again"
        ) from error


def _chip(entry: dict[str, Any], folder: Path, library: Library) -> Chip:
    role, label, title = str(entry["role"]), str(entry.get("label") or ""), str(entry["title"])
    text = role if role in COMPARED else f"to {label}" if role == "transfer" else label if role == "sample" else title
    sound = library.sound(folder / entry["file"], role in COMPARED)
    return Chip(text or title, title, sound, int(entry["example"] or 0), role, label, folder / entry["file"])


def _shown(entry: dict[str, Any], folder: Path, library: Library, chips: list[Chip], notes: dict[str, str]) -> Shown:
    file = folder / entry["file"]
    moves = entry["kind"] == "animation"
    roles = [role for role in BELOW.get(file.name, ()) if role in notes]
    groups: dict[str, list[Chip]] = {}
    for chip in chips:
        if chip.role in roles:
            groups.setdefault(_group(chip), []).append(chip)
    return Shown(
        title=str(entry["title"]),
        caption=str(entry["caption"]),
        picture=library.still(file) if moves else library.picture(file),
        moving=library.picture(file) if moves else None,
        small=file.name in SMALL,
        racks=list(groups.items()),
        notes=list(dict.fromkeys(notes[role] for role in roles)),
    )


def _order(chip: Chip) -> tuple[int, int]:
    """Example by example, and what is compared in the order of COMPARED; else as it was drawn."""
    return (chip.example, COMPARED.index(chip.role)) if chip.role in COMPARED else (chip.example, len(COMPARED))


def _group(chip: Chip) -> str:
    """What stands before the sounds that are heard one after another at the same position."""
    if chip.role in COMPARED or chip.role == "transfer":
        return f"Example {chip.example + 1}"
    return ""
