"""The history of a training, and its snapshots (snapshots.parquet)."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.core import arrays
from pipeline.dataset.batches import Batch
from pipeline.models.vae import VAE

SNAPSHOT_WINDOWS = 4
SNAPSHOT_SAMPLES = 9

History = list[dict[str, float]]  # one row per epoch; losses are in nats per window


@dataclass
class Snapshots:
    """Reconstructions of a few fixed windows, and samples, at some epochs: (n, 1, *shape) arrays on the CPU."""

    originals: Tensor
    epochs: list[int] = field(default_factory=list)
    reconstructions: list[Tensor] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def add(self, epoch: int, model: VAE, batch: Batch) -> None:
        """Add reconstructions of `batch`, and samples from the same latents in every epoch."""
        model.eval()
        self.epochs.append(epoch)
        self.reconstructions.append(model.reconstruct(batch.x, batch.label).cpu())
        generator = torch.Generator().manual_seed(0)
        labels = batch.label.repeat(SNAPSHOT_SAMPLES)[:SNAPSHOT_SAMPLES]
        self.samples.append(model.sample(SNAPSHOT_SAMPLES, generator, labels).cpu())


def snapshot_epochs(epochs: int, number: int) -> set[int]:
    """`number` evenly spaced epochs, the first and the last among them."""
    return {round(epoch) for epoch in torch.linspace(1, epochs, number).tolist()}


def save_snapshots(path: Path, snapshots: Snapshots) -> None:
    """Write rows of kind original (epoch 0), reconstruction or sample, with epoch, index and a float16 array."""
    stacks = [("original", 0, snapshots.originals.cpu())]
    epochs = zip(snapshots.epochs, snapshots.reconstructions, snapshots.samples, strict=True)
    for epoch, reconstructions, samples in epochs:
        stacks += [("reconstruction", epoch, reconstructions), ("sample", epoch, samples)]
    rows = [(kind, epoch, index) for kind, epoch, stack in stacks for index in range(len(stack))]
    keys = dict(zip(("kind", "epoch", "index"), map(list, zip(*rows, strict=True)), strict=True))
    with np.errstate(over="ignore"):  # of a training that diverges
        values = np.concatenate([stack.squeeze(1).numpy().astype(np.float16) for *_, stack in stacks])
    arrays.write(path, keys, {"array": values})
