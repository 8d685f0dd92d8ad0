"""A trained variant, loaded from its folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, WaveformConfig, parse_representation, sample_count
from pipeline.core.device import pick_device
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import suggest
from pipeline.core.text import normalise
from pipeline.dataset.split import read_split
from pipeline.models import store
from pipeline.models.vae import VAE
from pipeline.vocoder.read import read_inversion

DEFAULT_PEAK_DB = 25.0  # dB of mel power; the median over windows of music is 25 to 27


@dataclass(frozen=True)
class TrainedVariant:
    """A trained model on its device, in evaluation mode."""

    name: str
    seed: int
    model: VAE
    representation: MelConfig | WaveformConfig
    inversion: Inversion | None  # of a mel
    seconds: float  # length of a window
    cache: Path  # the training data; the folder may be gone

    @property
    def rate(self) -> int:
        """Sample rate of the representation in Hz."""
        return self.representation.sample_rate

    @property
    def length(self) -> int:
        """Samples of a window at `rate`."""
        return sample_count(self.seconds, self.rate)

    @property
    def positions(self) -> int:
        """Length of a window's last axis. A position is a mel frame, or a sample of a waveform."""
        return self.representation.shape(self.seconds)[-1]

    @property
    def samples_per_position(self) -> int:
        """Samples at `rate` from one position to the next."""
        return self.representation.hop_length if isinstance(self.representation, MelConfig) else 1

    @property
    def device(self) -> torch.device:
        """The model's device; a model without any tensor counts as on the CPU."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    def label_index(self, label: str | None, option: str) -> Tensor:
        """(1,) index of a label; None gives the index that means "not known".

        ParamsError, which names the command's `option`, if the variant has no labels, or not this one.
        """
        labels = [normalise(name) for name in self.model.labels]
        if label is not None and self.model.condition is None:
            raise ParamsError(f"{option} {label}: variant {self.name} has no labels; use a variant with a `condition`")
        if label is not None and normalise(label) not in labels:
            raise ParamsError(f"{option} {label}: no label of variant {self.name}; {suggest(label, labels)}")
        return torch.tensor([len(labels) if label is None else labels.index(normalise(label))], device=self.device)

    def require_latent(self, command: str) -> None:
        """ParamsError if the variant has no latent: the baseline that gives the same window for every input."""
        if not self.model.latent_dims:
            raise ParamsError(
                f"{command}: variant {self.name} has no latent, it gives the same window for every input; use another"
            )

    def typical_peak_db(self) -> tuple[float, str]:
        """The peak that evaluation gives to samples, the median over validation windows, and where it comes from."""
        try:
            peaks_db = read_split(self.cache, "valid").peak_db
        except DataError:
            peaks_db = None
        if peaks_db is None or not len(peaks_db):
            return DEFAULT_PEAK_DB, "typical of music; the training data are not here"
        return float(np.median(peaks_db)), "the median of the validation windows"


def load(folder: Path, device: str = "auto") -> TrainedVariant:
    """Load the variant of a `folder` from `arguments.find_variant`; `device` is auto, cpu, cuda, cuda:<n> or mps.

    ParamsError if this machine has no such device, DataError if the variant's files are damaged.
    """
    try:
        torch_device = pick_device(device)
    except (ParamsError, RuntimeError) as error:
        raise ParamsError(f"--device {device}: torch has no such device here; auto picks one") from error
    model, description = store.load(folder)
    representation = parse_representation(description["representation"])
    data, name = folder.parents[2], str(description["input"])
    return TrainedVariant(
        name=folder.parent.name,
        seed=int(folder.name.removeprefix("seed-")),
        model=model.to(torch_device).requires_grad_(False),
        representation=representation,
        inversion=read_inversion(data / "vocoders" / name, representation),
        seconds=float(description["seconds"]),
        cache=data / "cache" / name,
    )
