"""Batches from a cached split."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import count, repeat
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB, below_peak_, to_unit_
from pipeline.dataset import sampler as orders
from pipeline.dataset.split import Split


def fixed_noise(rows: int, dims: int) -> Tensor:
    """(rows, dims) standard normal, the same every time and on every device: what held-out windows are scored with."""
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(0))


class Batch(NamedTuple):
    """Windows (B, 1, *shape) float32 on the data's scale, and (B,) indices of their labels."""

    x: Tensor
    label: Tensor


Stored = Generator[Tensor, None, None]


class WindowLoader(ABC):
    """A split as a list of windows, which come in batches on the device.

    Where a row holds a span of several windows, they lie evenly in it, and an epoch of training sees as many at other
    places.

    Args:
        split: its rows.
        device: where batches are.
        labels: what a batch's label indices count; a label that is not there gets the index after the last one.
        order: of the windows in an epoch, a key of `order.ORDERS`.
    """

    def __init__(self, split: Split, device: torch.device, labels: Sequence[str], order: str) -> None:
        self.kind, self.shape, self.device, self.order = split.kind, split.shape, device, order
        self.spans = split.windows is not None
        self.dtype = torch.from_numpy(np.empty(0, split.stored.dtype)).dtype
        row = torch.arange(sum(split.groups))
        start, room = torch.zeros_like(row), torch.zeros_like(row)  # room: the last place at which one can begin
        if split.windows is not None and split.lengths is not None:
            windows = torch.from_numpy(split.windows).long()
            row = row.repeat_interleave(windows)
            room = (torch.from_numpy(split.lengths).long() - self.shape[-1])[row]
            number = torch.cat([torch.linspace(0, 1, n, dtype=torch.float64) for n in windows.tolist()])
            start = (number * room).round().long()
        number_of = {label: i for i, label in enumerate(labels)}
        self.label = torch.tensor([number_of.get(label, len(labels)) for label in split.labels.tolist()])
        self.group = torch.arange(len(split.groups)).repeat_interleave(torch.tensor(split.groups))  # of each row
        self.row, self.start, self.room = row, start, room

    def __len__(self) -> int:
        """Windows."""
        return len(self.row)

    def batch(self, index: Tensor) -> Batch:
        """Windows at `index` (B,)."""
        index = index.cpu()
        return next(self._batches(self.row[index], self.start[index], len(index)))

    def batches(self, size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """All windows once, in the order in which they are stored; of several ranks, each takes every world-th batch.

        Batches have `size` windows, but for the last.
        """
        index = torch.cat([torch.arange(0), *torch.arange(len(self)).split(size)[rank::world]])
        return self._batches(self.row[index], self.start[index], size)

    def epoch(self, size: int, seed: int, epoch: int, first: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """As many windows as there are, each anywhere in its row, in an order that follows from (seed, epoch) alone.

        Args:
            size: of a batch, of all ranks together; a multiple of `world`. The last batch is filled up from the
                epoch's beginning.
            seed: of the training.
            epoch: its number.
            first: number of the batch to begin with.
            rank: takes every world-th window of each batch, from this one on.
            world: number of ranks.
        """
        window, start = orders.epoch(self.order, self.group[self.row], self.room, size, seed, epoch)
        window, start = (whole.view(-1, size)[first:, rank::world].flatten() for whole in (window, start))
        return self._batches(self.row[window], start, size // world)

    def _batches(self, row: Tensor, start: Tensor, size: int) -> Iterator[Batch]:
        """Crops of (M,) rows, beginning at (M,) frames or samples, `size` at a time."""
        if not len(row):
            return
        labels = self.label[row].to(self.device).split(size)
        with closing(self._stored(row, start, size)) as parts:
            for stored, label in zip(parts, labels, strict=True):
                yield Batch(self._scaled(stored), label)

    @abstractmethod
    def _stored(self, row: Tensor, start: Tensor, size: int) -> Stored:
        """The crops of `_batches` as stored, (B, *shape) on the device."""

    def _scaled(self, stored: Tensor) -> Tensor:
        x = stored.float()
        if self.spans and self.kind == "mel":
            below_peak_(x, min_peak_db=-FLOOR_DB)  # 80 dB count from its own peak. In a silent one nothing is raised to it.
        scaled: Tensor = to_unit_(x, self.kind)
        return scaled.unsqueeze(1)


class ResidentLoader(WindowLoader):
    """The whole split on the device, as stored (2 bytes a value); a batch is gathered and brought to scale there."""

    def __init__(self, split: Split, device: torch.device, labels: Sequence[str] = (), order: str = "shuffled") -> None:
        super().__init__(split, device, labels, order)
        self.values = split.values
        if device.type != "cpu":
            stored = torch.from_numpy(split.values).to(device)
            # (rows, places, *shape): every window that could be cut from a row. A view, which takes no memory.
            self.stored = stored.unfold(-1, self.shape[-1], 1).movedim(-2, 1)

    def _stored(self, row: Tensor, start: Tensor, size: int) -> Stored:
        if self.device.type != "cpu":
            for rows, starts in zip(row.to(self.device).split(size), start.to(self.device).split(size), strict=True):
                yield self.stored[rows, starts]
            return
        # One copy after the other is several times as fast on a CPU as an indexing of all.
        for rows, starts in zip(row.split(size), start.split(size), strict=True):
            into = torch.empty(len(rows), *self.shape, dtype=self.dtype)
            yield fill(into, zip(count(), repeat(self.values), rows.tolist(), starts.tolist(), strict=False))


def fill(into: Tensor, crops: Iterable[tuple[int, np.ndarray, int, int]]) -> Tensor:
    """Copy windows into `into` (B, *shape): each given by its place there, rows of a split, which of them, and where.

    The last is the frame or sample of the row at which the window begins.
    """
    places = into.numpy()
    for place, values, row, start in crops:
        places[place] = values[row, ..., start : start + into.shape[-1]]
    return into
