"""Strided 1-D convolutions over a waveform with dilated residual units.

After systems C and E of docs/variants.md. Units with dilations 1, 3 and 9, Snake and weight norm are as in the Descript
Audio Codec (Kumar et al. 2023, arXiv 2306.06546). No norm uses the window's own statistics, so loudness is preserved.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pipeline.models.config import Conv1dConfig
from pipeline.models.networks.strided1d import Strided1dDecoder, Strided1dEncoder, Wrap
from pipeline.models.signal import Signal

DILATIONS = (1, 3, 9)


class Snake(nn.Module):
    """x + sin(a x)^2 / a, with a learned a > 0 per channel (Ziyin et al. 2020, arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_a = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, positions), shape unchanged."""
        a = self.log_a.exp()
        return x + (a * x).sin().square() / a


ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "snake": Snake,
    "elu": lambda channels: nn.ELU(),
    "leaky_relu": lambda channels: nn.LeakyReLU(0.2),
}


class DilatedUnit(nn.Module):
    """x + conv(act(conv(act(x)))): a dilated kernel of 3, then one of 1."""

    def __init__(self, channels: int, dilation: int, activation: Callable[[int], nn.Module], wrap: Wrap) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            activation(channels),
            wrap(nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)),
            activation(channels),
            wrap(nn.Conv1d(channels, channels, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = x + self.layers(x)
        return y


def _wrap(config: Conv1dConfig) -> Wrap:
    return weight_norm if config.weight_norm else lambda layer: layer


def _units(config: Conv1dConfig) -> Callable[[int], list[nn.Module]]:
    activation, wrap = ACTIVATIONS[config.activation], _wrap(config)
    return lambda channels: [DilatedUnit(channels, dilation, activation, wrap) for dilation in DILATIONS]


class Conv1dEncoder(Strided1dEncoder):
    """Three dilated units per stage. Global pooling averages the features over time, to (channels, 1)."""

    def __init__(self, config: Conv1dConfig, signal: Signal) -> None:
        super().__init__(config, signal, _units(config), _wrap(config))
        self.pooled = config.pooling == "global"
        if self.pooled:
            self.shape = (self.shape[0], 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Strided1dEncoder.forward`."""
        features, *skips = super().forward(x)
        return [features.mean(-1, keepdim=True) if self.pooled else features, *skips]


class Conv1dDecoder(Strided1dDecoder):
    """The mirror image of the encoder. After global pooling, a linear layer expands the features to all positions."""

    def __init__(self, config: Conv1dConfig, signal: Signal) -> None:
        super().__init__(config, signal, _units(config), ACTIVATIONS[config.activation], _wrap(config))
        channels, positions = config.channels[-1], self.positions
        self.expand: nn.Module = nn.Identity()
        if config.pooling == "global":
            layers = nn.Flatten(), nn.Linear(channels, channels * positions), nn.Unflatten(1, (channels, positions))
            self.expand = nn.Sequential(*layers)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """See `Strided1dDecoder.forward`."""
        features, *skips = inputs
        return super().forward([self.expand(features), *skips])
