"""Batches of windows from a cached split."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB, below_peak_, to_unit_
from pipeline.dataset.sampler import sample_epoch
from pipeline.dataset.split import Split


class Batch(NamedTuple):
    """Windows (B, 1, *shape) float32 on the data's scale, and (B,) label indices."""

    x: Tensor
    label: Tensor


class WindowLoader(ABC):
    """The windows of a split, in batches on a device.

    A row may hold a span of several windows. Then `batch` and `batches` give evenly spaced windows of it, and `epoch`
    gives as many at random places. A subclass decides where the rows are, and crops them in `_stored_batches`.

    A batch's label indices point into `labels`; an unknown label has the index len(labels). `sampler`, a key of
    SAMPLERS, orders an epoch.
    """

    def __init__(self, split: Split, device: torch.device, labels: Sequence[str], sampler: str) -> None:
        self.split, self.device, self.sampler = split, device, sampler
        self.kind, self.shape = split.kind, split.shape
        self.has_spans = split.windows is not None
        self.dtype = torch.from_numpy(np.empty(0, split.stored.dtype)).dtype
        row = torch.arange(sum(split.groups))
        start, last_start = torch.zeros_like(row), torch.zeros_like(row)
        if split.windows is not None and split.lengths is not None:
            windows = torch.from_numpy(split.windows).long()
            row = row.repeat_interleave(windows)
            last_start = (torch.from_numpy(split.lengths).long() - self.shape[-1])[row]
            position = torch.cat([torch.linspace(0, 1, n, dtype=torch.float64) for n in windows.tolist()])
            start = (position * last_start).round().long()
        label_index = {label: i for i, label in enumerate(labels)}
        self.label = torch.tensor([label_index.get(label, len(labels)) for label in split.labels.tolist()])
        self.group = torch.arange(len(split.groups)).repeat_interleave(torch.tensor(split.groups))  # for each row
        self.row, self.start, self.last_start = row, start, last_start  # values of each window

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.row)

    def batch(self, index: Tensor) -> Batch:
        """The windows at `index` (B,)."""
        index = index.cpu()
        return next(self._batches(self.row[index], self.start[index], len(index)))

    def batches(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """All windows in stored order; of `world` ranks, each takes every world-th batch. The last may be smaller."""
        index = torch.cat([torch.arange(0), *torch.arange(len(self)).split(batch_size)[rank::world]])
        return self._batches(self.row[index], self.start[index], batch_size)

    def epoch(
        self, batch_size: int, seed: int, epoch: int, first: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """The windows of a training epoch from batch number `first` on; see `sample_epoch`.

        `batch_size` counts the windows of all `world` ranks; each rank takes every world-th window of a batch.
        """
        sample = sample_epoch(self.sampler, self.group[self.row], self.last_start, batch_size, seed, epoch)
        window, start = (values.view(-1, batch_size)[first:, rank::world].flatten() for values in sample)
        return self._batches(self.row[window], start, batch_size // world)

    def _batches(self, row: Tensor, start: Tensor, batch_size: int) -> Iterator[Batch]:
        if not len(row):
            return
        labels = self.label[row].to(self.device).split(batch_size)
        with closing(self._stored_batches(row, start, batch_size)) as parts:
            for stored, label in zip(parts, labels, strict=True):
                yield Batch(self._scaled(stored), label)

    @abstractmethod
    def _stored_batches(self, row: Tensor, start: Tensor, batch_size: int) -> Generator[Tensor, None, None]:
        """Crops of (M,) rows that start at (M,) frames or samples, as stored: (B, *shape) on the device."""

    def _scaled(self, stored: Tensor) -> Tensor:
        x = stored.float()
        if self.has_spans and self.kind == "mel":  # relative to the crop's own peak; a silent crop stays silent
            below_peak_(x, min_peak_db=-FLOOR_DB)
        scaled: Tensor = to_unit_(x, self.kind)
        return scaled.unsqueeze(1)


def fill(batch: Tensor, crops: Iterable[tuple[int, np.ndarray, int, int]]) -> Tensor:
    """Copy crops into `batch` (B, *shape); a crop is (index in the batch, rows, row, first frame or sample)."""
    array = batch.numpy()
    for index, values, row, start in crops:
        array[index] = values[row, ..., start : start + batch.shape[-1]]
    return batch
