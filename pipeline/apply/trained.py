"""A trained variant, found by its name and loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from pipeline.cache.config import MelConfig, RepresentationConfig, WaveformConfig, samples
from pipeline.cache.reader import read_split
from pipeline.errors import DataError, ParamsError
from pipeline.models import store
from pipeline.models.vae import VAE
from pipeline.params import suggest
from pipeline.training.device import pick

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
        return samples(self.seconds, self.rate)

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
            near = suggest(name, known)
            every = "" if near.startswith("known") else f" known are: {', '.join(known)}"
            raise ParamsError(f"{option} {name}: variant {self.name} knows no such label; {near}{every}")
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
            return USUAL_PEAK_DB, f"usual for music; {self.cache} is not there to ask"
        return float(np.median(found)), "the median of the validation windows"


def load(models: Path, name: str, seed: int | None = None, device: str = "auto") -> Trained:
    """The variant `name` in the folder `models`.

    Args:
        models: holds <variant>/seed-<n>/ as the stage train writes them.
        name: of the variant.
        seed: of its training; the lowest that is there by default.
        device: auto, cpu, cuda, cuda:<n> or mps.

    Raises:
        ParamsError: it is not trained, not with this seed, or the device is not there.
        DataError: its files are damaged.
    """
    found = _found(models)
    if not found:
        raise ParamsError(f"{models}: no trained variant; `dvc repro` trains those of params.yaml")
    if name not in found:
        near = suggest(name, found)
        every = "" if near.startswith("known") else f" trained are: {', '.join(sorted(found))}"
        raise ParamsError(
            f"--variant {name}: not trained in {models}; {near.replace('known are', 'trained are')}{every}"
        )
    seeds = found[name]
    if seed is not None and seed not in seeds:
        raise ParamsError(f"--seed {seed}: {models / name} has the seeds {', '.join(map(str, seeds))}")
    chosen = seeds[0] if seed is None else seed
    try:
        place = pick(device)
    except (ParamsError, RuntimeError) as error:
        raise ParamsError(f"--device {device}: torch has no such device here; auto picks one") from error
    model, description = store.load(models / name / f"seed-{chosen}")
    return Trained(
        name=name,
        seed=chosen,
        model=model.to(place).requires_grad_(False),
        representation=_representation(description),
        seconds=float(description["seconds"]),
        cache=models.parent / "cache" / str(description["input"]),
    )


def _representation(description: dict[str, Any]) -> MelConfig | WaveformConfig:
    chosen: MelConfig | WaveformConfig = TypeAdapter(RepresentationConfig).validate_python(
        description["representation"]
    )
    return chosen


def _found(models: Path) -> dict[str, list[int]]:
    """Trained variants and their seeds in rising order."""
    found: dict[str, list[int]] = {}
    for file in models.glob("*/seed-*/config.json"):
        number = file.parent.name.removeprefix("seed-")
        if number.isdecimal():
            found.setdefault(file.parent.parent.name, []).append(int(number))
    return {name: sorted(seeds) for name, seeds in found.items()}
