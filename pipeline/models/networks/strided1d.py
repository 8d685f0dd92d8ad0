"""The base classes of 1-D convolutional networks.

A stage of the encoder is a strided convolution and residual units. A stage of the decoder is residual units, an
activation and a transposed convolution. Kernels span two strides, so that neighbouring positions overlap.
"""

from collections.abc import Callable, Sequence

from torch import nn

from pipeline.models.config import Strided1dConfig
from pipeline.models.networks.staged import StagedDecoder, StagedEncoder
from pipeline.models.signal import Signal

Units = Callable[[int], Sequence[nn.Module]]  # makes the residual units of a stage from its channels
Wrap = Callable[[nn.Module], nn.Module]  # reparametrises a convolution, e.g. weight norm


def strided_conv(width: int, channels: int, stride: int, wrap: Wrap = lambda layer: layer) -> list[nn.Module]:
    """Layers from (B, width, length) to (B, channels, ceil(length / stride)), for any length."""
    padding = nn.ConstantPad1d((stride // 2, 2 * stride - 1 - stride // 2), 0.0)
    return [padding, wrap(nn.Conv1d(width, channels, 2 * stride, stride=stride))]


class Strided1dEncoder(StagedEncoder):
    """Waveforms (B, 1, samples) to features (B, channels, positions)."""

    def __init__(self, config: Strided1dConfig, signal: Signal, units: Units, wrap: Wrap = lambda layer: layer) -> None:
        stages = [
            nn.Sequential(*strided_conv(before, after, stride, wrap), *units(after))
            for before, after, stride in config.stages
        ]
        super().__init__(config, signal, stages)


class Strided1dDecoder(StagedDecoder):
    """The mirror image of the encoder."""

    def __init__(
        self,
        config: Strided1dConfig,
        signal: Signal,
        units: Units,
        activation: Callable[[int], nn.Module],
        wrap: Wrap = lambda layer: layer,
    ) -> None:
        stages = [
            nn.Sequential(
                *units(after),
                activation(after),
                wrap(nn.ConvTranspose1d(after, before, 2 * stride, stride, padding=stride // 2)),
            )
            for before, after, stride in config.stages[::-1]
        ]
        super().__init__(config, signal, stages, nn.Conv1d)
