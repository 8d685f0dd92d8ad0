"""Strided 1-D convolutions over a waveform with dilated residual units.

After systems C and E of docs/variants.md. Units with dilations 1, 3 and 9, Snake and weight norm are as in the Descript
Audio Codec (Kumar et al. 2023, arXiv 2306.06546). No norm uses the window's own statistics, so loudness is preserved.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pipeline.models.config import Conv1dConfig, shrink
from pipeline.models.networks.layers import Residual
from pipeline.models.networks.pqmf import Analysis, Synthesis
from pipeline.models.networks.strided1d import Strided1dDecoder, Strided1dEncoder, Units, Wrap, same_conv
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


def _wrap(config: Conv1dConfig) -> Wrap:
    return weight_norm if config.weight_norm else lambda layer: layer


def _units(config: Conv1dConfig) -> Units:
    """x + conv(act(conv(act(x)))) for each dilation: a dilated kernel of 3, then one of 1."""
    activation, wrap = ACTIVATIONS[config.activation], _wrap(config)

    def unit(channels: int, dilation: int) -> Residual:
        return Residual(
            activation(channels),
            wrap(same_conv(channels, 3, config.causal, dilation)),
            activation(channels),
            wrap(nn.Conv1d(channels, channels, 1)),
        )

    return lambda channels: [unit(channels, dilation) for dilation in DILATIONS]


class Conv1dEncoder(Strided1dEncoder):
    """Three dilated units per stage, after a filter bank if `pqmf` is set.

    Global pooling averages the features over time, to (channels, 1).
    """

    def __init__(self, config: Conv1dConfig, signal: Signal) -> None:
        bank = Analysis(config.pqmf, signal.shape[0]) if config.pqmf else None
        signal = replace(signal, shape=(bank.positions,)) if bank else signal
        super().__init__(config, signal, _units(config), _wrap(config), config.causal)
        if bank:
            self.standardise = nn.Sequential(self.standardise, bank)
        self.pooled = config.pooling == "global"
        if self.pooled:
            self.shape = (self.shape[0], 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `StagedEncoder.forward`."""
        features, *skips = super().forward(x)
        return [features.mean(-1, keepdim=True) if self.pooled else features, *skips]


class Conv1dDecoder(Strided1dDecoder):
    """The mirror image of the encoder. After global pooling, a linear layer expands the features to all positions."""

    def __init__(self, config: Conv1dConfig, signal: Signal) -> None:
        bank = Synthesis(config.pqmf, signal.shape[0]) if config.pqmf else None
        signal = replace(signal, shape=(bank.positions,)) if bank else signal
        activation = ACTIVATIONS[config.activation]
        super().__init__(config, signal, _units(config), activation, _wrap(config), config.causal)
        if bank:
            self.head = nn.Sequential(bank, self.head)
        channels, positions = config.channels[-1], shrink(signal.shape[0], config.stage_strides)[-1]
        self.expand: nn.Module = nn.Identity()
        if config.pooling == "global":
            layers = nn.Flatten(), nn.Linear(channels, channels * positions), nn.Unflatten(1, (channels, positions))
            self.expand = nn.Sequential(*layers)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """See `StagedDecoder.forward`."""
        features, *skips = inputs
        return super().forward([self.expand(features), *skips])
