"""A trained variant, found by its name and loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from pipeline.apply.find import named
from pipeline.audio.representation import MelConfig, RepresentationConfig, WaveformConfig, sample_count
from pipeline.core.distributed import pick_device
from pipeline.core.errors import DataError, ParamsError
from pipeline.dataset.split import read_split
from pipeline.models import store
from pipeline.models.vae import VAE

USUAL_PEAK_DB = 25.0  # of a mel window where no training data is there to ask: the median of music is at 25 to 27


@dataclass(frozen=True)
class Trained:
    """A variant that can be used: on its device, in evaluation mode.

    Attributes:
        name: of the variant.
        seed: that it was trained with.
        model: the network.
        representation: what it sees of a window.
        seconds: of a window.
        cache: folder of the data that it was trained on, which may be gone.
    """

    name: str
    seed: int
    model: VAE
    representation: MelConfig | WaveformConfig
    seconds: float
    cache: Path

    @property
    def rate(self) -> int:
        """Of the representation, in Hz."""
        return self.representation.sample_rate

    @property
    def length(self) -> int:
        """Samples of a window at `rate`."""
        return sample_count(self.seconds, self.rate)

    @property
    def device(self) -> torch.device:
        """Where the model is; one without any number is on the CPU."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    def label(self, name: str | None, option: str) -> Tensor:
        """(1,) index of the label `name`; without a name, of "not known".

        Args:
            name: of a label.
            option: that gave it, to be named in errors.

        Raises:
            ParamsError: the variant knows no labels, or not this one.
        """
        known = self.model.labels
        if name is not None and self.model.condition is None:
            raise ParamsError(f"{option} {name}: variant {self.name} knows no labels; one with `condition` does")
        if name is not None and name not in known:
            raise ParamsError(f"{option} {name}: no label of variant {self.name}; {named(name, [*known], 'known')}")
        return torch.tensor([len(known) if name is None else known.index(name)], device=self.device)

    def need_latent(self, command: str) -> None:
        """Refuse `command` for a variant that has no latent.

        Raises:
            ParamsError: it is such a baseline.
        """
        if not self.model.latent_dims:
            raise ParamsError(
                f"{command}: variant {self.name} has no latent, it gives the same window for every input; use another"
            )

    def peak_db(self) -> tuple[float, str]:
        """Median level of the validation windows' peaks, which evaluation gives to samples, and where it is from."""
        try:
            found = read_split(self.cache, "valid").peak_db
        except DataError:
            found = None
        if found is None or not len(found):
            return USUAL_PEAK_DB, "usual for music; no data to ask"
        return float(np.median(found)), "the median of the validation windows"


def load(folder: Path, device: str = "auto") -> Trained:
    """The variant in `folder`, as `find` gives it.

    Args:
        folder: <variant>/seed-<n>.
        device: auto, cpu, cuda, cuda:<n> or mps.

    Raises:
        ParamsError: the device is not there.
        DataError: its files are damaged.
    """
    try:
        place = pick_device(device)
    except (ParamsError, RuntimeError) as error:
        raise ParamsError(f"--device {device}: torch has no such device here; auto picks one") from error
    model, description = store.load(folder)
    return Trained(
        name=folder.parent.name,
        seed=int(folder.name.removeprefix("seed-")),
        model=model.to(place).requires_grad_(False),
        representation=_representation(description),
        seconds=float(description["seconds"]),
        cache=folder.parents[2] / "cache" / str(description["input"]),
    )


def _representation(description: dict[str, Any]) -> MelConfig | WaveformConfig:
    chosen: MelConfig | WaveformConfig = TypeAdapter(RepresentationConfig).validate_python(
        description["representation"]
    )
    return chosen
