"""Batches from a cached split that lives on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.audio.scale import to_unit
from pipeline.cache.reader import Split


def fixed_noise(rows: int, dims: int) -> Tensor:
    """(rows, dims) standard normal, the same every time and on every device: what held-out windows are scored with."""
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(0))


class Resident:
    """A whole split on the device, as stored (2 bytes a value); a batch is gathered and brought to scale there."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.kind = split.kind
        # The table is mapped read-only; from_numpy on it would warn, and the copy is what lands on the device.
        self.stored = torch.tensor(split.values, device=device)

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, index: Tensor) -> Tensor:
        """Windows at `index` (B,) as (B, 1, *shape) float32 on the data's scale."""
        return to_unit(self.stored.index_select(0, index).float(), self.kind).unsqueeze(1)

    def shifted(self, index: Tensor, by: Tensor) -> Tensor:
        """As `batch`, each window rotated along time by `by` (B,) frames or samples: what leaves comes in again."""
        x = self.batch(index)
        length = x.shape[-1]
        place = (torch.arange(length, device=x.device) - by[:, None]) % length
        return x.gather(-1, place.reshape(len(x), *[1] * (x.dim() - 2), length).expand_as(x))

    def batches(self, size: int) -> Iterator[Tensor]:
        """All windows once, in the order in which they are stored."""
        for index in torch.arange(len(self), device=self.stored.device).split(size):
            yield self.batch(index)

    def epoch(self, size: int, generator: torch.Generator, shift: bool) -> Iterator[Tensor]:
        """All windows once in an order drawn from `generator` (of the CPU), and rotated if `shift`."""
        order = torch.randperm(len(self), generator=generator)
        by = torch.randint(self.stored.shape[-1], (len(self),), generator=generator)
        parts = zip(*(whole.to(self.stored.device).split(size) for whole in (order, by)), strict=True)
        for index, amount in parts:
            yield self.shifted(index, amount) if shift else self.batch(index)
