"""Fully connected layers over a window, or over each frame of it with shared weights.

After the deep VAE of system E and the simple VAE of system C (docs/variants.md). Each hidden layer after the first is a
residual branch with its own norm, so that fifteen layers train and the loudness of a window is preserved.
"""

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import FullyConnectedConfig, shrink
from pipeline.models.networks.layers import Head, Residual, Standardise
from pipeline.models.signal import Signal


class _Frames(nn.Module):
    """Shared by encoder and decoder: the frames of a window along time, and the hidden layers."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__()
        self.length = signal.shape[-1]
        self.frame = config.frame or self.length
        self.positions = shrink(self.length, [self.frame])[-1]
        self.rows = signal.size // self.length  # bands of a mel; 1 for a waveform
        width = config.width
        layers = (Residual(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()) for _ in range(config.layers - 1))
        self.hidden = nn.Sequential(nn.GELU(), *layers)


class FullyConnectedEncoder(_Frames):
    """Windows (B, 1, *window) to features of `self.shape` = (width, frames)."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.shape = (config.width, self.positions)
        self.standardise = Standardise(signal)
        self.first = nn.Linear(self.rows * self.frame, config.width)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape)."""
        x = functional.pad(self.standardise(x), (0, self.positions * self.frame - self.length))
        frames = x.reshape(len(x), self.rows, self.positions, self.frame).transpose(1, 2).flatten(2)
        return [self.hidden(self.first(frames)).transpose(1, 2)]


class FullyConnectedDecoder(_Frames):
    """The mirror image of the encoder. The last layer of the bottleneck is its first layer."""

    def __init__(self, config: FullyConnectedConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.last = nn.Linear(config.width, self.rows * self.frame)
        self.shape = signal.shape
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, *window) on the scale of the data."""
        (features,) = inputs
        frames = self.last(self.hidden(features.transpose(1, 2))).unflatten(2, (self.rows, self.frame))
        window = frames.transpose(1, 2).flatten(2)[..., : self.length]
        return self.head(window.reshape(-1, 1, *self.shape))
