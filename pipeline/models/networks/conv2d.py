"""Strided 2-D convolutions over a mel spectrogram.

After system D of docs/variants.md: each stage halves bands and frames and has a norm. Here the activation is SiLU (or
GELU as in system A), and the input is standardised per band.
"""

import itertools

from torch import Tensor, nn

from pipeline.models.config import Conv2dConfig, shrink
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.norm import BatchNorm2d
from pipeline.models.signal import Signal

NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm2d, "instance": nn.InstanceNorm2d, "none": nn.Identity}
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU}


def _grid_sizes(config: Conv2dConfig, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """(bands, frames) of the input and after each stage."""
    bands, frames = (shrink(size, config.strides) for size in shape)
    return list(zip(bands, frames, strict=True))


def _stage(convolution: nn.Module, channels: int, config: Conv2dConfig) -> nn.Sequential:
    return nn.Sequential(convolution, NORMS[config.norm](channels), ACTIVATIONS[config.activation]())


class Conv2dEncoder(nn.Module):
    """Mels (B, 1, bands, frames) to features of `self.shape` = (channels, bands', frames')."""

    def __init__(self, config: Conv2dConfig, signal: Signal) -> None:
        super().__init__()
        self.standardise = Standardise(signal)
        self.skip = config.skip
        bias = config.norm == "none"
        self.stages = nn.ModuleList(
            _stage(nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=bias), channels, config)
            for width, channels in itertools.pairwise([1, *config.channels])
        )
        self.shape = (config.channels[-1], *_grid_sizes(config, signal.shape)[-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape); with skips also the output of each earlier stage, the deepest first."""
        x = self.standardise(x)
        outputs = [x := stage(x) for stage in self.stages]
        return outputs[::-1] if self.skip else outputs[-1:]


class Conv2dDecoder(nn.Module):
    """The mirror image of the encoder."""

    def __init__(self, config: Conv2dConfig, signal: Signal) -> None:
        super().__init__()
        self.sizes = _grid_sizes(config, signal.shape)[-2::-1]
        widths = [*config.channels[::-1], 1]
        self.stages = nn.ModuleList()
        for i, (width, channels) in enumerate(itertools.pairwise(widths)):
            last = i == len(widths) - 2
            up = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, bias=last or config.norm == "none")
            self.stages.append(up if last else _stage(up, channels, config))
        self.skips = nn.ModuleList(nn.Conv2d(c, c, 1) for c in widths[1:-1] if config.skip)
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, bands, frames) on the scale of the data, from the features and any skips."""
        x, *skips = inputs
        for i, (stage, (bands, frames)) in enumerate(zip(self.stages, self.sizes, strict=True)):
            x = stage(x)[..., :bands, :frames]  # an odd size comes back one too long
            if i < len(skips):
                x = x + self.skips[i](skips[i])
        y: Tensor = self.head(x)
        return y
