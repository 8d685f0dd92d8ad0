"""Batches from a cached split that lives on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.audio.scale import below_peak, to_unit
from pipeline.cache.reader import Split


def fixed_noise(rows: int, dims: int) -> Tensor:
    """(rows, dims) standard normal, the same every time and on every device: what held-out windows are scored with."""
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(0))


class Resident:
    """A whole split on the device, as stored (2 bytes a value); a batch is gathered and brought to scale there.

    It is a list of windows. Where a row holds a span of several, they lie evenly in it, and an epoch of training sees
    as many at other places.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.kind, self.shape, self.device = split.kind, split.shape, device
        self.stored = torch.from_numpy(split.values).to(device)
        rows = torch.arange(len(split.values))
        self.row, self.start = rows, torch.zeros_like(rows)
        self.room = torch.zeros_like(rows)  # from the first to the last place where a window can begin in its row
        if split.windows is not None and split.lengths is not None:
            windows = torch.from_numpy(split.windows).long()
            self.row = rows.repeat_interleave(windows)
            self.room = (torch.from_numpy(split.lengths).long() - self.shape[-1])[self.row]
            number = torch.cat([torch.linspace(0, 1, n) for n in windows.tolist()])
            self.start = (number * self.room).round().long()

    def __len__(self) -> int:
        return len(self.row)

    def batch(self, index: Tensor) -> Tensor:
        """Windows at `index` (B,) as (B, 1, *shape) float32 on the data's scale."""
        return self._crop(self.row[index], self.start[index])

    def batches(self, size: int) -> Iterator[Tensor]:
        """All windows once, in the order in which they are stored."""
        for index in torch.arange(len(self)).split(size):
            yield self.batch(index)

    def epoch(self, size: int, generator: torch.Generator) -> Iterator[Tensor]:
        """As many windows as there are, in an order drawn from `generator` (of the CPU), each anywhere in its row."""
        order = torch.randperm(len(self), generator=generator)
        start = (torch.rand(len(self), generator=generator) * (self.room[order] + 1)).long()
        for rows, starts in zip(self.row[order].split(size), start.split(size), strict=True):
            yield self._crop(rows, starts)

    def _crop(self, row: Tensor, start: Tensor) -> Tensor:
        row, start = row.to(self.device), start.to(self.device)
        if self.stored.shape[1:] == self.shape:
            return to_unit(self.stored.index_select(0, row).float(), self.kind).unsqueeze(1)
        time = start[:, None] + torch.arange(self.shape[-1], device=self.device)
        if self.kind == "waveform":
            return to_unit(self.stored[row[:, None], time].float(), self.kind).unsqueeze(1)
        bands = torch.arange(self.shape[0], device=self.device)
        cropped = self.stored[row[:, None, None], bands[:, None], time[:, None, :]].float()
        return to_unit(below_peak(cropped), self.kind).unsqueeze(1)  # the floor is 80 dB below the crop's own peak
