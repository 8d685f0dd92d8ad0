"""Batches from a cached split that lives on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.audio.scale import to_unit
from pipeline.cache.reader import Split


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

    def batches(self, size: int, order: Tensor | None = None) -> Iterator[Tensor]:
        """All windows once, in `order` (a permutation) or as they are stored."""
        order = torch.arange(len(self)) if order is None else order
        for index in order.to(self.stored.device).split(size):
            yield self.batch(index)
