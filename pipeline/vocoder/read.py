"""Read what stage vocoder has chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import RepresentationConfig
from pipeline.core.artefacts import read_json, readable
from pipeline.core.exported import load_exported
from pipeline.core.workspace import CHOICE_FILE, EXPORTED_FILE, TRAINING

if TYPE_CHECKING:
    from torch import Tensor


def read_inversion(folder: Path, representation: RepresentationConfig) -> Inversion | None:
    """The inversion that stage vocoder chose in `folder`, or Griffin-Lim if the folder is gone; None for waveforms.

    DataError if a file is damaged.
    """
    if representation.kind != "mel":
        return None
    if not (folder / CHOICE_FILE).is_file():
        return Inversion(representation)
    choice = read_json(folder / CHOICE_FILE)
    with readable(folder / CHOICE_FILE):
        uses, iterations = choice["uses"], int(choice["iterations"])
    if uses != "vocoder":
        return Inversion(representation, iterations)
    if (folder / TRAINING).is_dir():
        return Inversion(representation, iterations, folder / TRAINING / "network.safetensors", load_trained)
    return Inversion(representation, iterations, folder / EXPORTED_FILE, load_exported)


def load_trained(weights: Path) -> "Callable[[Tensor], Tensor]":
    """The network of a vocoder that stage vocoder has trained, from its file of weights; DataError if it is damaged."""
    from pipeline.models import store  # torch is slow to import, and Griffin-Lim does not need it
    from pipeline.models.vocoder import Vocoder

    model, _ = store.load(weights.parent, Vocoder)
    assert isinstance(model, Vocoder)
    return model.requires_grad_(False).network
