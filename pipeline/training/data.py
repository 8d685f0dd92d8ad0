"""Batches from a cached split that lives on the device."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB, below_peak, to_unit
from pipeline.cache.reader import Split


def fixed_noise(rows: int, dims: int) -> Tensor:
    """(rows, dims) standard normal, the same every time and on every device: what held-out windows are scored with."""
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(0))


class Batch(NamedTuple):
    """Windows (B, 1, *shape) float32 on the data's scale, and (B,) indices of their labels."""

    x: Tensor
    label: Tensor


class Resident:
    """A whole split on the device, as stored (2 bytes a value); a batch is gathered and brought to scale there.

    It is a list of windows. Where a row holds a span of several, they lie evenly in it, and an epoch of training sees
    as many at other places.

    Args:
        split: its rows.
        device: where they are kept.
        labels: what a batch's label indices count; a label that is not there gets the index after the last one.
    """

    def __init__(self, split: Split, device: torch.device, labels: Sequence[str] = ()) -> None:
        self.kind, self.shape, self.device = split.kind, split.shape, device
        stored = torch.from_numpy(split.values).to(device)
        # (rows, places, *shape): every window that could be cut from a row. A view, which takes no memory.
        self.stored = stored.unfold(-1, self.shape[-1], 1).movedim(-2, 1)
        self.spans = split.windows is not None
        row = torch.arange(len(split.values))
        start, room = torch.zeros_like(row), torch.zeros_like(row)  # room: the last place at which one can begin
        if split.windows is not None and split.lengths is not None:
            windows = torch.from_numpy(split.windows).long()
            row = row.repeat_interleave(windows)
            room = (torch.from_numpy(split.lengths).long() - self.shape[-1])[row]
            number = torch.cat([torch.linspace(0, 1, n, dtype=torch.float64) for n in windows.tolist()])
            start = (number * room).round().long()
        number_of = {label: i for i, label in enumerate(labels)}
        self.label = torch.tensor([number_of.get(label, len(labels)) for label in split.labels.tolist()], device=device)
        self.row, self.start, self.room = row.to(device), start.to(device), room

    def __len__(self) -> int:
        return len(self.row)

    def batch(self, index: Tensor) -> Batch:
        """Windows at `index` (B,)."""
        index = index.to(self.device)
        return self._cut(self.row[index], self.start[index])

    def batches(self, size: int) -> Iterator[Batch]:
        """All windows once, in the order in which they are stored."""
        for index in torch.arange(len(self), device=self.device).split(size):
            yield self.batch(index)

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[Batch]:
        """As many windows as there are, in an order drawn from `generator` (of the CPU), each anywhere in its row."""
        order = torch.randperm(len(self), generator=generator)
        draw = torch.rand(len(self), generator=generator, dtype=torch.float64)
        start = (draw * (self.room[order] + 1)).long().to(self.device)
        for rows, starts in zip(self.row[order.to(self.device)].split(size), start.split(size), strict=True):
            yield self._cut(rows, starts)

    def _cut(self, row: Tensor, start: Tensor) -> Batch:
        x = self.stored[row, start].float()
        # A window's 80 dB count from its own peak. In a silent one nothing is raised to it.
        x = below_peak(x, lowest=-FLOOR_DB) if self.spans and self.kind == "mel" else x
        return Batch(to_unit(x, self.kind).unsqueeze(1), self.label[row])
