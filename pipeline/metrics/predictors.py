"""The predictor that every variant has to beat: the mean window of the train split, whatever it is shown."""

import torch
from torch import Tensor

from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split


def mean_window(train: Split, batch_size: int) -> Tensor:
    """(1, *shape) float64 mean of all windows, on the data's scale."""
    batches = window_loader(train, torch.device("cpu")).batches(batch_size)
    total: Tensor = sum(x.double().sum(0) for x, _ in batches)  # type: ignore[assignment]
    return total / len(train)
