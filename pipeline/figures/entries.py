"""What figures.json says of a file."""

from typing import Any


def entry(
    file: str,
    title: str,
    caption: str,
    kind: str,
    *,
    example: int | None = None,
    role: str | None = None,
    step: int | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """One element of the list.

    Args:
        file: below the folder of figures.json.
        title: a few words.
        caption: what it shows, in sentences.
        kind: image, animation or audio.
        example: of audio, from 0; of walks the walk's number, of samples the sample's.
        role: of audio: original, ceiling, reconstruction, sample, linear, slerp, perturbed or transfer.
        step: of perturbed, how far it was moved; of transfers, the number of the target.
        label: of the window, or that a sample or transfer was given.
    """
    return {
        "file": file,
        "title": title,
        "caption": caption,
        "kind": kind,
        "example": example,
        "role": role,
        "step": step,
        "label": label,
    }
