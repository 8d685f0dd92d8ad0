"""Strided 2-D convolutions over a mel spectrogram.

After system D of docs/variants.md, whose stages halve bands and frames: each has a stride and a norm. Here the
activation is SiLU (or GELU as in system A), and the input is standardised per band.
"""

from torch import nn

from pipeline.models.config import Conv2dConfig
from pipeline.models.networks.layers import Residual
from pipeline.models.networks.staged import StagedDecoder, StagedEncoder
from pipeline.models.norm import BatchNorm2d
from pipeline.models.signal import Signal

NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm2d, "instance": nn.InstanceNorm2d, "none": nn.Identity}
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU}


def _blocks(channels: int, config: Conv2dConfig) -> list[nn.Module]:
    """Residual blocks x + conv(act(norm(x)))."""

    def block() -> Residual:
        norm, activation = NORMS[config.norm](channels), ACTIVATIONS[config.activation]()
        return Residual(norm, activation, nn.Conv2d(channels, channels, 3, padding=1))

    return [block() for _ in range(config.blocks)]


def _stage(convolution: nn.Conv2d | nn.ConvTranspose2d, config: Conv2dConfig) -> nn.Sequential:
    return nn.Sequential(convolution, NORMS[config.norm](convolution.out_channels), ACTIVATIONS[config.activation]())


class Conv2dEncoder(StagedEncoder):
    """Mels (B, 1, bands, frames) to features (B, channels, bands', frames')."""

    def __init__(self, config: Conv2dConfig, signal: Signal) -> None:
        bias = config.norm == "none"  # a norm removes the bias
        stages = [
            nn.Sequential(
                *_stage(nn.Conv2d(before, after, 2 * stride - 1, stride, padding=stride - 1, bias=bias), config),
                *_blocks(after, config),
            )
            for before, after, stride in config.stages
        ]
        super().__init__(config, signal, stages)


class Conv2dDecoder(StagedDecoder):
    """The mirror image of the encoder, but for the last stage.

    It is a sub-pixel convolution (Shi et al. 2016, arXiv 1609.05158): a transposed one would take twice as long.
    """

    def __init__(self, config: Conv2dConfig, signal: Signal) -> None:
        bias = config.norm == "none"
        (_, channels, stride), *others = config.stages
        stages = [
            nn.Sequential(
                *_blocks(after, config),
                *_stage(nn.ConvTranspose2d(after, before, 2 * step, step, padding=step // 2, bias=bias), config),
            )
            for before, after, step in others[::-1]
        ]
        sub_pixel = nn.Conv2d(channels, stride**2, 3, padding=1), nn.PixelShuffle(stride)
        super().__init__(config, signal, [*stages, nn.Sequential(*_blocks(channels, config), *sub_pixel)], nn.Conv2d)
