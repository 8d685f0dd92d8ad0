"""Strided 1-D residual convolutions over a waveform.

After system B of docs/variants.md: instance norm in the encoder, batch norm in the decoder, LeakyReLU 0.4. The norms
stand on the residual branches alone, so that the loudness of a window survives on the straight path.
"""

import itertools

from torch import Tensor, nn

from pipeline.models.config import ResNet1dConfig, shrink
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.signal import Signal

SLOPE = 0.4


class Residual(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), both of kernel 3, the first dilated by 3."""

    def __init__(self, channels: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            norm(channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(channels, channels, 3, padding=3, dilation=3, bias=False),  # the norm takes a bias out again
            norm(channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = x + self.layers(x)
        return y


class ResNet1dEncoder(nn.Module):
    """(B, 1, samples) in [-1, 1] to features of `self.shape` = (channels, positions)."""

    def __init__(self, config: ResNet1dConfig, signal: Signal) -> None:
        super().__init__()
        stride = config.stride
        self.standardise, self.skip = Standardise(signal), config.skip
        self.sizes = shrink(signal.shape[0], config.strides)[1:]
        self.stages = nn.ModuleList()
        width = 1
        for channels in config.channels:
            self.stages.append(
                nn.Sequential(
                    # Padding on the right makes every length ceil(samples / stride), whatever the input's.
                    nn.ConstantPad1d((stride // 2, 2 * stride - 1 - stride // 2), 0.0),
                    nn.Conv1d(width, channels, 2 * stride, stride=stride),
                    Residual(channels, nn.InstanceNorm1d),
                )
            )
            width = channels
        self.shape = (width, self.sizes[-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (B, *self.shape); with skips also what each earlier stage gave, the deepest first."""
        x = self.standardise(x)
        outputs = [x := stage(x)[..., :size] for stage, size in zip(self.stages, self.sizes, strict=True)]
        return outputs[::-1] if self.skip else outputs[-1:]


class ResNet1dDecoder(nn.Module):
    """The mirror image: features of (B, channels, positions) to (B, 1, samples)."""

    def __init__(self, config: ResNet1dConfig, signal: Signal) -> None:
        super().__init__()
        stride = config.stride
        self.sizes = shrink(signal.shape[0], config.strides)[-2::-1]
        self.offset = stride // 2
        widths = [*config.channels[::-1], config.channels[0]]
        self.stages = nn.ModuleList(
            nn.Sequential(
                Residual(width, nn.BatchNorm1d),
                nn.LeakyReLU(SLOPE),
                nn.ConvTranspose1d(width, channels, 2 * stride, stride=stride),
            )
            for width, channels in itertools.pairwise(widths)
        )
        self.skips = nn.ModuleList(nn.Conv1d(c, c, 1) for c in widths[1:-1] if config.skip)
        self.last = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Conv1d(widths[-1], 1, 7, padding=3))
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction on the data's scale, of the features and, where there are any, the encoder's skips."""
        x, *skips = inputs
        for i, (stage, size) in enumerate(zip(self.stages, self.sizes, strict=True)):
            x = stage(x)[..., self.offset : self.offset + size]
            if i < len(skips):
                x = x + self.skips[i](skips[i])
        y: Tensor = self.head(self.last(x))
        return y
