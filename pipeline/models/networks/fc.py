"""Fully connected layers over a window, or over one frame of it after the other.

After the deep VAE of system E and the simple one of system C (docs/variants.md). A hidden layer after the first is
added to what it gets, normalised on the way in alone: so fifteen of them train, and loudness survives.
"""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import FullyConnectedConfig, shrink
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.signal import Signal


class Hidden(nn.Module):
    """x + act(linear(norm(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """(..., width), shape unchanged."""
        y: Tensor = x + self.layers(x)
        return y


class _Side(nn.Module):
    """What encoder and decoder share: how a window is cut into frames along time."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__()
        self.length = signal.shape[-1]
        self.frame = config.frame or self.length
        self.positions = shrink(self.length, [self.frame])[-1]
        self.rows = signal.values // self.length  # of a mel; one of a waveform
        self.hidden = nn.Sequential(nn.GELU(), *(Hidden(config.width) for _ in range(config.layers - 1)))


class FullyConnectedEncoder(_Side):
    """(B, 1, *window) to features of `self.shape` = (width, frames)."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.shape = (config.width, self.positions)
        self.standardise = Standardise(signal)
        self.first = nn.Linear(self.rows * self.frame, config.width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (B, *self.shape)."""
        x = functional.pad(self.standardise(x), (0, self.positions * self.frame - self.length))
        frames = x.reshape(len(x), self.rows, self.positions, self.frame).transpose(1, 2).flatten(2)
        return [self.hidden(self.first(frames)).transpose(1, 2)]


class FullyConnectedDecoder(_Side):
    """The mirror image: features of (B, width, frames), the first layer of which is the bottleneck's last."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.last = nn.Linear(config.width, self.rows * self.frame)
        self.shape = signal.shape
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, *window) on the data's scale."""
        (features,) = inputs
        frames = self.last(self.hidden(features.transpose(1, 2))).unflatten(2, (self.rows, self.frame))
        window = frames.transpose(1, 2).flatten(2)[..., : self.length]
        y: Tensor = self.head(window.reshape(-1, 1, *self.shape))
        return y
