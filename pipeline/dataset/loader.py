"""Where a split's batches come from: the device, where it fits a budget, or the disk."""

from collections.abc import Sequence

import torch

from pipeline.core.errors import TrainingError
from pipeline.dataset.batches import ResidentLoader, WindowLoader
from pipeline.dataset.split import Split
from pipeline.dataset.streaming import StreamingLoader

GIB = 2**30
BUDGET = GIB  # bytes of a split that are kept where no param says how many: in evaluation and for baselines


def window_loader(
    split: Split,
    device: torch.device,
    labels: Sequence[str] = (),
    budget: float = BUDGET,
    order: str = "auto",
    workers: int | None = None,
) -> WindowLoader:
    """The split's windows in batches on `device`; which they are does not depend on where they come from.

    Args:
        split: of the cache.
        device: of the batches.
        labels: what a batch's label indices count.
        budget: bytes as stored up to which the split is kept on the device. A larger one is streamed.
        order: of the windows in an epoch: shuffled (any after any), streamed (a few row groups mixed), or auto:
            shuffled where it is resident, streamed where not.
        workers: threads that read what is streamed, 4 by default.

    Raises:
        TrainingError: shuffled is asked for, and the split is above the budget.
    """
    if split.nbytes <= budget:
        return ResidentLoader(split, device, labels, "shuffled" if order == "auto" else order)
    if order == "shuffled":
        size = f"{split.nbytes / GIB:.3g} GiB, above {budget / GIB:.3g},"
        raise TrainingError(
            f"a split of {size} cannot be shuffled; raise train.resident_gib, or set train.order to auto"
        )
    return StreamingLoader(split, device, labels, workers)
