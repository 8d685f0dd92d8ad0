"""The two ends of every network: from the data's scale to a standardised one, and back."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

# Final activations onto the data's scale; `linear` is undone by Standardise instead.
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}


class Standardise(nn.Module):
    """Zero mean and unit variance by the train split's statistics: per mel band, or for all samples of a waveform.

    Args:
        mean: a number, or one for each band.
        std: likewise; a band that never changes counts as 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float | list[float], std: float | list[float]) -> None:
        super().__init__()
        # (bands, 1) spreads over frames; (1, 1) over samples
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(-1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(-1, 1))
        self.std[self.std < 1e-6] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, *shape) on the data's scale, standardised."""
        return (x - self.mean) / self.std


class Head(Standardise):
    """What a decoder's last layer gives, on the data's scale: standardisation undone, or a bounded activation.

    Args:
        head: linear, or the name of an activation.
        mean: as in Standardise.
        std: likewise.
        low: end of the data's scale, 0 for mels and -1 for waveforms: a sigmoid is stretched from [0, 1] to [low, 1].
    """

    def __init__(self, head: str, mean: float | list[float], std: float | list[float], low: float) -> None:
        super().__init__(mean, std)
        self.head = head
        self.low = low

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, *shape) of any range."""
        if self.head == "linear":
            return x * self.std + self.mean
        y = HEADS[self.head](x)
        return self.low + (1 - self.low) * y if self.head == "sigmoid" else y
