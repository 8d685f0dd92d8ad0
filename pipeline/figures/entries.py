"""Entries of figures.json, which lists the files of a variant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A file.

    Attributes:
        file: path below the folder of figures.json.
        title: a few words.
        caption: what the file shows, in sentences.
        kind: image, animation or audio.
        example: of audio, number of the example, interpolation or sample, from 0.
        role: of audio: original, ceiling, reconstruction, sample, linear, slerp, perturbed or transfer.
        step: of perturbed, the step; of transfer, the number of the target label.
        label: of the window, or the one given to a sample or transfer.
    """

    file: str
    title: str
    caption: str
    kind: str
    example: int | None = None
    role: str | None = None
    step: int | None = None
    label: str | None = None
