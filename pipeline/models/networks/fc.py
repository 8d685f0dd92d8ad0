"""Fully connected layers over all values of a window.

After the deep VAE of system E and the simple one of system C (docs/variants.md). A hidden layer after the first is
added to what it gets, normalised on the way in alone: so fifteen of them train, and loudness survives.
"""

from torch import Tensor, nn

from pipeline.models.config import FullyConnectedConfig
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.signal import Signal


class Hidden(nn.Module):
    """x + act(linear(norm(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """(B, width), shape unchanged."""
        y: Tensor = x + self.layers(x)
        return y


class FullyConnectedEncoder(nn.Module):
    """(B, 1, *window) to features of `self.shape` = (width, 1)."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__()
        self.shape = (config.width, 1)
        hidden = [Hidden(config.width) for _ in range(config.layers - 1)]
        first = nn.Linear(signal.values, config.width)
        self.layers = nn.Sequential(Standardise(signal), nn.Flatten(), first, nn.GELU(), *hidden)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (B, *self.shape)."""
        return [self.layers(x)[..., None]]


class FullyConnectedDecoder(nn.Module):
    """The mirror image: features of (B, width, 1), which the bottleneck's linear layer made, to (B, 1, *window)."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__()
        hidden = [Hidden(config.width) for _ in range(config.layers - 1)]
        last = nn.Linear(config.width, signal.values)
        shape = nn.Unflatten(1, (1, *signal.shape))
        self.layers = nn.Sequential(nn.Flatten(), nn.GELU(), *hidden, last, shape, Head(config.head, signal))

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction on the data's scale."""
        (features,) = inputs
        y: Tensor = self.layers(features)
        return y
