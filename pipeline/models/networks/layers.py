"""Layers that several networks use: scaling to and from the scale of the data, and residual branches."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.signal import Signal, as_column

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}


class Standardise(nn.Module):
    """Mean 0 and variance 1 by the statistics of the train split: per band of a mel, or for all samples of a waveform.

    A constant band is divided by 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.register_buffer("mean", as_column(signal.mean))
        self.register_buffer("std", as_column(signal.std))
        self.std[self.std < 1e-6] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Windows (B, 1, *shape) on the scale of the data, standardised."""
        return (x - self.mean) / self.std


class Head(Standardise):
    """Brings a decoder's output (B, 1, *shape) to the scale of the data.

    `head` is linear (inverse standardisation) or a key of `ACTIVATIONS`. A sigmoid is stretched to the data's range.
    After bf16 layers too it computes in 32 bits: in bf16, a sigmoid of 7 is 1, and has no gradient.
    """

    def __init__(self, head: str, signal: Signal) -> None:
        super().__init__(signal)
        self.head, self.low = head, signal.low

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        x = x.to(self.std.dtype)
        if self.head == "linear":
            return x * self.std + self.mean
        y = ACTIVATIONS[self.head](x)
        return self.low + (1 - self.low) * y if self.head == "sigmoid" else y


class Residual(nn.Module):
    """x + layers(x), where the layers keep the shape."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        return x + self.layers(x)
