"""The figures of each variant on the page: pictures, animations, and the sounds that belong to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.artefacts import readable
from pipeline.core.workspace import read_json
from pipeline.report.media import MediaEncoder

COMPARED_ROLES = ("original", "ceiling", "reconstruction")  # lossless, because listeners compare them
ROLES_BELOW = {  # the roles of the sounds below each picture
    "reconstructions.png": COMPARED_ROLES,
    "walks.png": ("linear", "slerp"),
    "perturbations.png": ("perturbed",),
    "samples.png": ("sample",),
    "transfer.png": ("transfer",),
}
SMALL = {"latent_pca.png", "genre_distances.png"}


@dataclass(frozen=True)
class Clip:
    """A sound and its button. `sound` is its name on the page; `title` is the text for screen readers."""

    text: str
    title: str
    sound: str
    example: int
    role: str
    label: str
    path: Path


def read_figures(folder: Path, encoder: MediaEncoder) -> tuple[list[dict[str, Any]], list[Clip]]:
    """The pictures of figures.json with their clips, and all clips; both are empty if nothing was drawn.

    DataError if figures.json or a file that it names is damaged.
    """
    path = folder / "figures.json"
    if not path.is_file():
        return [], []
    with readable(path):
        entries = list(read_json(path))
        sounds = [entry for entry in entries if entry["kind"] == "audio"]
        clips = sorted((_clip(entry, folder, encoder) for entry in sounds), key=_position)
        notes = {str(entry["role"]): str(entry["caption"]) for entry in reversed(sounds)}
        return [_figure(entry, folder, encoder, clips, notes) for entry in entries if entry["kind"] != "audio"], clips


def read_clips(folder: Path, title: str, encoder: MediaEncoder) -> list[Clip]:
    """The clips of a row that stage reference wrote: example-<number>-<role>.wav."""
    clips = []
    for path in sorted(folder.glob("example-*.wav")):
        _, number, role = path.stem.split("-")
        clips.append(Clip(role, f"{title}, {role}", encoder.add_sound(path, True), int(number), role, "", path))
    return clips


def _clip(entry: dict[str, Any], folder: Path, encoder: MediaEncoder) -> Clip:
    role, label, title = str(entry["role"]), str(entry.get("label") or ""), str(entry["title"])
    text = {"transfer": f"to {label}", "sample": label, **{name: name for name in COMPARED_ROLES}}.get(role, title)
    path = folder / entry["file"]
    sound = encoder.add_sound(path, lossless=role in COMPARED_ROLES)
    return Clip(text or title, title, sound, int(entry["example"] or 0), role, label, path)


def _position(clip: Clip) -> tuple[int, int]:
    """Sort by example, then by COMPARED_ROLES; other roles keep their order."""
    is_compared = clip.role in COMPARED_ROLES
    return clip.example, COMPARED_ROLES.index(clip.role) if is_compared else len(COMPARED_ROLES)


def _figure(
    entry: dict[str, Any], folder: Path, encoder: MediaEncoder, clips: list[Clip], notes: dict[str, str]
) -> dict[str, Any]:
    """A picture with its caption and its clips, in named groups that share a playback position."""
    path = folder / entry["file"]
    is_animation = entry["kind"] == "animation"
    roles = [role for role in ROLES_BELOW.get(path.name, ()) if role in notes]
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.role in roles:
            is_named = clip.role in (*COMPARED_ROLES, "transfer")
            groups.setdefault(f"Example {clip.example + 1}" if is_named else "", []).append(clip)
    return {
        "title": str(entry["title"]),
        "caption": str(entry["caption"]),
        "picture": encoder.picture(path, last_frame=is_animation),
        "animation": encoder.picture(path) if is_animation else None,
        "is_small": path.name in SMALL,
        "clips": groups,
        "notes": list(dict.fromkeys(notes[role] for role in roles)),
    }
