"""Batches from a cached split that stays on disk."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, repeat
from math import prod

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import Batch, Stored, WindowLoader, fill
from pipeline.dataset.sampler import LANES
from pipeline.dataset.split import Split

WORKERS = 4  # threads; they wait for the disk and copy
AHEAD_BYTES = 32 * 2**20  # of assembled batches that wait to be used,
AHEAD = 2, 16  # whose number is at least and at most so much


class StreamingLoader(WindowLoader):
    """A split of which a few row groups are in memory at a time: threads read ahead and assemble batches.

    Its batches are those of `ResidentLoader` in the order "streamed", bit by bit, however many threads there are.
    """

    def __init__(
        self, split: Split, device: torch.device, labels: Sequence[str] = (), workers: int | None = None
    ) -> None:
        super().__init__(split, device, labels, "streamed")
        self.split, self.workers = split, workers or WORKERS
        sizes = torch.tensor(split.groups)
        self.within = torch.arange(len(self.group)) - (sizes.cumsum(0) - sizes)[self.group]  # row of its group

    def batch(self, index: Tensor) -> Batch:
        """Windows at `index` (B,), which may be spread over all row groups: each thread has one of them at a time."""
        index = index.cpu()
        row, start = self.row[index], self.start[index]
        group, into = self.group[row], self._empty(len(index))

        def read(number: int) -> None:
            places = (group == number).nonzero().flatten()
            values = repeat(self.split.read(number))
            crops = (places.tolist(), values, self.within[row[places]].tolist(), start[places].tolist())
            fill(into, zip(*crops, strict=False))

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(read, group.unique().tolist()))
        return Batch(self._scaled(into.to(self.device)), self.label[row].to(self.device))

    def _stored(self, row: Tensor, start: Tensor, size: int) -> Stored:
        group = self.group[row].numpy()
        piece, first, last = pieces(group, size)
        groups = dict(zip(piece.tolist(), group.tolist(), strict=True))
        rows, starts, numbers = self.within[row].split(size), start.split(size), torch.from_numpy(piece).split(size)
        bytes_of_batch = size * prod(self.shape) * self.dtype.itemsize
        ahead = min(max(AHEAD_BYTES // bytes_of_batch, AHEAD[0]), AHEAD[1])
        loads: dict[int, Future[np.ndarray]] = {}
        waiting: deque[Future[Tensor]] = deque()
        pool = ThreadPoolExecutor(self.workers)
        try:
            for batch, needed in enumerate(number.tolist() for number in numbers):
                # Tasks begin in the order in which they come in, so that one that waits for loads cannot keep them out.
                for number in dict.fromkeys(needed):
                    if first[number] == batch:
                        loads[number] = pool.submit(self.split.read, groups[number])
                of_windows = [loads[number] for number in needed]
                into = self._empty(len(needed))  # here: a thread's memory is not given back to others
                waiting.append(pool.submit(_assembled, into, of_windows, rows[batch].tolist(), starts[batch].tolist()))
                for number in dict.fromkeys(needed):
                    if last[number] == batch:
                        del loads[number]
                if len(waiting) > ahead:
                    yield waiting.popleft().result().to(self.device, non_blocking=True)
            while waiting:
                yield waiting.popleft().result().to(self.device, non_blocking=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _empty(self, number: int) -> Tensor:
        return torch.empty(number, *self.shape, dtype=self.dtype, pin_memory=self.device.type == "cuda")


def _assembled(into: Tensor, loads: list[Future[np.ndarray]], rows: list[int], starts: list[int]) -> Tensor:
    return fill(into, zip(count(), (load.result() for load in loads), rows, starts, strict=False))


def pieces(group: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is loaded for a sequence of windows: a row group, from the batch that first needs it to the last.

    One that is not needed in so many batches as there are lanes is dropped, and read again when it is. This is so at
    the ends of a lane, whose groups its neighbours share.

    Args:
        group: (M,) row group of each window, in the order in which they are shown.
        size: of a batch.

    Returns:
        (M,) the piece that each window comes from, and each piece's first and last batch.
    """
    batch = np.arange(len(group)) // size
    by_group = np.argsort(group, kind="stable")
    sorted_group, sorted_batch = group[by_group], batch[by_group]
    new = (np.diff(sorted_group, prepend=-1) != 0) | (np.diff(sorted_batch, prepend=0) > LANES)
    piece = np.empty_like(group)
    piece[by_group] = np.cumsum(new) - 1
    return piece, sorted_batch[new], sorted_batch[np.append(new[1:], True)]
