"""The two ends of every network: from the data's scale to a standardised one, and back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.signal import Signal, column

# Final activations onto the data's scale; `linear` is undone by Standardise instead.
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}


class Standardise(nn.Module):
    """Zero mean and unit variance by the train split's statistics: per mel band, or for all samples of a waveform.

    A band that never changes counts as of variance 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.register_buffer("mean", column(signal.mean))
        self.register_buffer("std", column(signal.std))
        self.std[self.std < 1e-6] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, *shape) on the data's scale, standardised."""
        return (x - self.mean) / self.std


class Head(Standardise):
    """What a decoder's last layer gives, on the data's scale: standardisation undone, or a bounded activation.

    Args:
        head: linear, or the name of an activation; a sigmoid is stretched to the data's scale.
        signal: of the data.
    """

    def __init__(self, head: str, signal: Signal) -> None:
        super().__init__(signal)
        self.head = head
        self.low = signal.low

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, *shape) of any range."""
        if self.head == "linear":
            return x * self.std + self.mean
        y = HEADS[self.head](x)
        return self.low + (1 - self.low) * y if self.head == "sigmoid" else y
