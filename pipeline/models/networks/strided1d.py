"""The base classes of 1-D convolutional networks.

A stage of the encoder is a strided convolution and residual units. A stage of the decoder is residual units, an
activation and a transposed convolution. Kernels span two strides, so that neighbouring positions overlap. In a causal
network, kernels see no later positions: zeros on the right only complete the last position.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import Strided1dConfig
from pipeline.models.networks.staged import StagedDecoder, StagedEncoder
from pipeline.models.signal import Signal

Units = Callable[[int], Sequence[nn.Module]]  # makes the residual units of a stage from its channels
Wrap = Callable[[nn.Module], nn.Module]  # reparametrises a convolution, e.g. weight norm


class CausalConv1d(nn.Conv1d):
    """A convolution of stride 1 whose output at a position sees this position and earlier ones."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, length), length unchanged."""
        return super().forward(functional.pad(x, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


def same_conv(channels: int, kernel: int, causal: bool, dilation: int = 1, groups: int = 1) -> nn.Conv1d:
    """A convolution with an odd kernel that keeps the shape (B, channels, length)."""
    if causal:
        return CausalConv1d(channels, channels, kernel, dilation=dilation, groups=groups)
    return nn.Conv1d(channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=groups)


def strided_conv(
    width: int, channels: int, stride: int, wrap: Wrap = lambda layer: layer, causal: bool = False
) -> list[nn.Module]:
    """Layers from (B, width, length) to (B, channels, ceil(length / stride)), for any length.

    A causal position sees its own `stride` inputs and as many before them.
    """
    before = stride if causal else stride // 2
    padding = nn.ConstantPad1d((before, 2 * stride - 1 - before), 0.0)
    return [padding, wrap(nn.Conv1d(width, channels, 2 * stride, stride=stride))]


def transposed_conv(width: int, channels: int, stride: int, causal: bool = False) -> nn.ConvTranspose1d:
    """A layer from (B, width, length) to (B, channels, at least length * stride); what is too much is at the end.

    A causal output sees the input at its own position and the one before.
    """
    return nn.ConvTranspose1d(width, channels, 2 * stride, stride, padding=0 if causal else stride // 2)


class Strided1dEncoder(StagedEncoder):
    """Waveforms (B, 1, samples) to features (B, channels, positions)."""

    def __init__(
        self,
        config: Strided1dConfig,
        signal: Signal,
        units: Units,
        wrap: Wrap = lambda layer: layer,
        causal: bool = False,
    ) -> None:
        stages = [
            nn.Sequential(*strided_conv(before, after, stride, wrap, causal), *units(after))
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
        causal: bool = False,
    ) -> None:
        stages = [
            nn.Sequential(*units(after), activation(after), wrap(transposed_conv(after, before, stride, causal)))
            for before, after, stride in config.stages[::-1]
        ]
        super().__init__(config, signal, stages, nn.Conv1d)
