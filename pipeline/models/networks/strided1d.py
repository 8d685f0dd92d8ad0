"""The base classes of 1-D convolutional networks: stages that shorten a waveform, and their mirror image.

A stage of the encoder is a strided convolution and residual units. A stage of the decoder is residual units, an
activation and a transposed convolution. Kernels span two strides, so that neighbouring positions overlap.
"""

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from pipeline.models.config import Strided1dConfig, shrink
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.signal import Signal

Units = Callable[[int], Sequence[nn.Module]]  # makes the residual units of a stage from its channels
Wrap = Callable[[nn.Module], nn.Module]  # reparametrises a convolution, e.g. weight norm


def strided_conv(width: int, channels: int, stride: int, wrap: Wrap = lambda layer: layer) -> list[nn.Module]:
    """Layers from (B, width, length) to (B, channels, ceil(length / stride)), for any length."""
    padding = nn.ConstantPad1d((stride // 2, 2 * stride - 1 - stride // 2), 0.0)
    return [padding, wrap(nn.Conv1d(width, channels, 2 * stride, stride=stride))]


class Strided1dEncoder(nn.Module):
    """Waveforms (B, 1, samples) to features of `self.shape` = (channels, positions)."""

    def __init__(self, config: Strided1dConfig, signal: Signal, units: Units, wrap: Wrap = lambda layer: layer) -> None:
        super().__init__()
        self.standardise, self.skip = Standardise(signal), config.skip
        self.stages = nn.ModuleList(
            nn.Sequential(*strided_conv(width, channels, config.stride, wrap), *units(channels))
            for width, channels in itertools.pairwise([1, *config.channels])
        )
        self.shape = (config.channels[-1], shrink(signal.shape[0], config.strides)[-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape); with skips also the output of each earlier stage, the deepest first."""
        x = self.standardise(x)
        outputs = [x := stage(x) for stage in self.stages]
        return outputs[::-1] if self.skip else outputs[-1:]


class Strided1dDecoder(nn.Module):
    """The mirror image of the encoder."""

    def __init__(
        self,
        config: Strided1dConfig,
        signal: Signal,
        units: Units,
        activation: Callable[[int], nn.Module],
        wrap: Wrap = lambda layer: layer,
    ) -> None:
        super().__init__()
        stride = config.stride
        self.positions, *self.sizes = shrink(signal.shape[0], config.strides)[::-1]
        self.offset = stride // 2
        widths = [*config.channels[::-1], config.channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(
                *units(width),
                activation(width),
                wrap(nn.ConvTranspose1d(width, channels, 2 * stride, stride=stride)),
            )
            for width, channels in itertools.pairwise(widths)
        )
        self.skips = nn.ModuleList(nn.Conv1d(c, c, 1) for c in widths[1:-1] if config.skip)
        self.last = nn.Sequential(activation(widths[-1]), wrap(nn.Conv1d(widths[-1], 1, 7, padding=3)))
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, samples) on the scale of the data, from the features and any skips."""
        x, *skips = inputs
        for i, (stage, size) in enumerate(zip(self.stages, self.sizes, strict=True)):
            x = stage(x)[..., self.offset : self.offset + size]
            if i < len(skips):
                x = x + self.skips[i](skips[i])
        y: Tensor = self.head(self.last(x))
        return y
