"""Load a split's windows: from memory on the device if the split fits, else from disk."""

from collections.abc import Generator, Sequence
from itertools import count, repeat

import torch
from torch import Tensor

from pipeline.core.errors import TrainingError
from pipeline.dataset.batches import WindowLoader, fill
from pipeline.dataset.split import Split
from pipeline.dataset.streaming import StreamingLoader

GIB = 2**30


class ResidentLoader(WindowLoader):
    """Keeps the split on the device as stored (2 bytes per value), and scales batches there."""

    def __init__(
        self, split: Split, device: torch.device, labels: Sequence[str] = (), sampler: str = "shuffled"
    ) -> None:
        super().__init__(split, device, labels, sampler)
        self.values = split.values
        if device.type != "cpu":
            stored = torch.from_numpy(split.values).to(device)
            # A view of every possible crop: (rows, starts, *shape). It takes no memory.
            self.crops = stored.unfold(-1, self.shape[-1], 1).movedim(-2, 1)

    def _stored_batches(self, row: Tensor, start: Tensor, batch_size: int) -> Generator[Tensor, None, None]:
        is_cpu = self.device.type == "cpu"
        row, start = row.to(self.device), start.to(self.device)
        for rows, starts in zip(row.split(batch_size), start.split(batch_size), strict=True):
            if is_cpu:  # copying one by one is several times as fast as indexing
                batch = torch.empty(len(rows), *self.shape, dtype=self.dtype)
                yield fill(batch, zip(count(), repeat(self.values), rows.tolist(), starts.tolist(), strict=False))
            else:
                yield self.crops[rows, starts]


def window_loader(
    split: Split,
    device: torch.device,
    labels: Sequence[str] = (),
    max_resident_bytes: float = GIB,
    sampler: str = "auto",
) -> WindowLoader:
    """The split's windows in batches on `device`, the same from memory and from disk.

    A split above `max_resident_bytes`, as stored, is streamed from disk. `sampler` is shuffled (all windows), streamed
    (a few row groups mixed), or auto: shuffled if the split is resident. TrainingError if it is shuffled, but the split
    must be streamed.
    """
    if split.nbytes <= max_resident_bytes:
        return ResidentLoader(split, device, labels, "shuffled" if sampler == "auto" else sampler)
    if sampler == "shuffled":
        sizes = f"{split.nbytes / GIB:.3g} GiB, above {max_resident_bytes / GIB:.3g}"
        raise TrainingError(
            f"a split of {sizes}, cannot be shuffled; raise train.resident_gib, or set train.order to auto"
        )
    return StreamingLoader(split, device, labels)


def mean_window(train: Split, batch_size: int) -> Tensor:
    """(1, *shape) float64 mean of all train windows on the data's scale: the predictor that variants must beat."""
    batches = window_loader(train, torch.device("cpu")).batches(batch_size)
    total: Tensor = sum(x.double().sum(0) for x, _ in batches)  # type: ignore[assignment]
    return total / len(train)
