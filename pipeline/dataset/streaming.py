"""Batches from a cached split that stays on disk."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, repeat
from math import prod

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import Batch, WindowLoader, fill
from pipeline.dataset.sampler import LANES
from pipeline.dataset.split import Split

WORKERS = 4  # threads that wait for the disk and copy
PREFETCH_BYTES = 32 * 2**20
MIN_PREFETCH, MAX_PREFETCH = 2, 16  # batches


class StreamingLoader(WindowLoader):
    """Keeps a few row groups in memory: threads read ahead and assemble batches.

    Batches are the same as from `ResidentLoader` with the sampler "streamed", bit for bit for any number of threads.
    """

    def __init__(self, split: Split, device: torch.device, labels: Sequence[str] = ()) -> None:
        super().__init__(split, device, labels, "streamed")
        sizes = torch.tensor(split.groups)
        self.row_in_group = torch.arange(len(self.group)) - (sizes.cumsum(0) - sizes)[self.group]

    def batch(self, index: Tensor) -> Batch:
        """The windows at `index` (B,), from any row groups; each thread holds one group at a time."""
        index = index.cpu()
        row, start = self.row[index], self.start[index]
        group, batch = self.group[row], self._empty(len(index))

        def read(number: int) -> None:
            indices = (group == number).nonzero().flatten()
            rows, starts = self.row_in_group[row[indices]].tolist(), start[indices].tolist()
            fill(batch, zip(indices.tolist(), repeat(self.split.read(number)), rows, starts, strict=False))

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(read, group.unique().tolist()))
        return Batch(self._scaled(batch.to(self.device)), self.label[row].to(self.device))

    def _stored_batches(self, row: Tensor, start: Tensor, batch_size: int) -> Generator[Tensor, None, None]:
        group = self.group[row].numpy()
        read, first_batch, last_batch = plan_reads(group, batch_size)
        read_group = dict(zip(read.tolist(), group.tolist(), strict=True))
        rows, starts = self.row_in_group[row].split(batch_size), start.split(batch_size)
        batch_bytes = batch_size * prod(self.shape) * self.dtype.itemsize
        prefetch = min(max(PREFETCH_BYTES // batch_bytes, MIN_PREFETCH), MAX_PREFETCH)
        open_reads: dict[int, Future[np.ndarray]] = {}  # row groups in memory, or on the way
        pending: deque[Future[Tensor]] = deque()
        pool = ThreadPoolExecutor(WORKERS)
        try:
            for number, reads in enumerate(part.tolist() for part in torch.from_numpy(read).split(batch_size)):
                # Tasks start in the order of submission, so a task that waits for a read cannot block it.
                for key in dict.fromkeys(reads):
                    if first_batch[key] == number:
                        open_reads[key] = pool.submit(self.split.read, read_group[key])
                batch = self._empty(len(reads))  # allocated here, since threads do not share freed memory
                futures = [open_reads[key] for key in reads]
                pending.append(pool.submit(_assemble, batch, futures, rows[number].tolist(), starts[number].tolist()))
                for key in dict.fromkeys(reads):
                    if last_batch[key] == number:
                        del open_reads[key]
                if len(pending) > prefetch:
                    yield pending.popleft().result().to(self.device, non_blocking=True)
            while pending:
                yield pending.popleft().result().to(self.device, non_blocking=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _empty(self, number: int) -> Tensor:
        return torch.empty(number, *self.shape, dtype=self.dtype, pin_memory=self.device.type == "cuda")


def _assemble(batch: Tensor, reads: list[Future[np.ndarray]], rows: list[int], starts: list[int]) -> Tensor:
    return fill(batch, zip(count(), (read.result() for read in reads), rows, starts, strict=False))


def plan_reads(group: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reads for a sequence of windows. A read is a row group that is kept from its first batch to its last.

    A group that no batch needs for more than LANES batches is dropped and read again later. This happens at lane ends,
    since neighbouring lanes share a row group. `group` is the row group of each window, (M,), in epoch order.

    Returns:
        (M,) number of the read of each window, and (reads,) the first and the last batch of each read.
    """
    batch = np.arange(len(group)) // batch_size
    by_group = np.argsort(group, kind="stable")
    sorted_group, sorted_batch = group[by_group], batch[by_group]
    is_new = (np.diff(sorted_group, prepend=-1) != 0) | (np.diff(sorted_batch, prepend=0) > LANES)
    read = np.empty_like(group)
    read[by_group] = np.cumsum(is_new) - 1
    return read, sorted_batch[is_new], sorted_batch[np.append(is_new[1:], True)]
