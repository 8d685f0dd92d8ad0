"""Strided 1-D residual convolutions over a waveform.

After system B of docs/variants.md: instance norm in the encoder, batch norm in the decoder, LeakyReLU 0.4. The norms
are on the residual branches only, so the loudness of a window is preserved.
"""

from torch import nn

from pipeline.models.config import ResNet1dConfig
from pipeline.models.networks.layers import Residual
from pipeline.models.networks.strided1d import Strided1dDecoder, Strided1dEncoder
from pipeline.models.norm import BatchNorm1d
from pipeline.models.signal import Signal

SLOPE = 0.4


def _block(channels: int, norm: type[nn.Module]) -> Residual:
    """x + conv(act(norm(conv(act(norm(x)))))), both of kernel 3, the first dilated by 3."""
    return Residual(
        norm(channels),
        nn.LeakyReLU(SLOPE),
        nn.Conv1d(channels, channels, 3, padding=3, dilation=3, bias=False),  # the next norm removes a bias
        norm(channels),
        nn.LeakyReLU(SLOPE),
        nn.Conv1d(channels, channels, 3, padding=1),
    )


class ResNet1dEncoder(Strided1dEncoder):
    """One residual block per stage, with instance norm."""

    def __init__(self, config: ResNet1dConfig, signal: Signal) -> None:
        super().__init__(config, signal, lambda channels: [_block(channels, nn.InstanceNorm1d)])


class ResNet1dDecoder(Strided1dDecoder):
    """The mirror image of the encoder, with batch norm."""

    def __init__(self, config: ResNet1dConfig, signal: Signal) -> None:
        super().__init__(
            config, signal, lambda channels: [_block(channels, BatchNorm1d)], lambda channels: nn.LeakyReLU(SLOPE)
        )
