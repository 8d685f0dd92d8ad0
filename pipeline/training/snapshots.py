"""What a model makes of a few fixed windows and latents in the course of its training."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.dataset.batches import Batch
from pipeline.models.vae import VAE

FIXED = 4  # windows
DRAWN = 9  # latents


@dataclass
class Snapshots:
    """Of chosen epochs; arrays are (n, 1, *shape), on the CPU."""

    originals: Tensor
    epochs: list[int] = field(default_factory=list)
    reconstructions: list[Tensor] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def keep(self, epoch: int, model: VAE, fixed: Batch) -> None:
        """Add what `model` makes of the windows in `fixed`, and nine samples that are the same draw every time."""
        model.eval()
        self.epochs.append(epoch)
        self.reconstructions.append(model.reconstruct(fixed.x, fixed.label).cpu())
        same = torch.Generator().manual_seed(0)
        self.samples.append(model.sample(DRAWN, same, fixed.label.repeat(DRAWN)[:DRAWN]).cpu())


def marks(epochs: int, number: int) -> set[int]:
    """`number` epochs, evenly spread, the first and the last among them."""
    return {round(epoch) for epoch in torch.linspace(1, epochs, number).tolist()}
