"""Strided 2-D convolutions over a mel spectrogram.

After system D of docs/variants.md: a stage halves bands and frames and is followed by a norm; here with SiLU, and with
the input standardised per band.
"""

import itertools
from typing import Any

from torch import Tensor, nn

from pipeline.models.config import Conv2dConfig, shrink
from pipeline.models.networks.heads import Head, Standardise

NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "none": nn.Identity}


def _grid(config: Conv2dConfig, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    bands, frames = (shrink(size, config.stride, len(config.channels)) for size in shape)
    return list(zip(bands, frames, strict=True))


class Conv2dEncoder(nn.Module):
    """(B, 1, bands, frames) in [0, 1] to features of `self.shape` = (channels, bands', frames')."""

    def __init__(self, config: Conv2dConfig, shape: tuple[int, ...], stats: dict[str, Any]) -> None:
        super().__init__()
        self.standardise = Standardise(stats["mean"], stats["std"])
        layers: list[nn.Module] = []
        width = 1
        for channels in config.channels:
            convolution = nn.Conv2d(width, channels, 3, stride=2, padding=1, bias=config.norm == "none")
            layers += [convolution, NORMS[config.norm](channels), nn.SiLU()]
            width = channels
        self.layers = nn.Sequential(*layers)
        self.shape = (width, *_grid(config, shape)[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Features of (B, *self.shape)."""
        features: Tensor = self.layers(self.standardise(x))
        return features


class Conv2dDecoder(nn.Module):
    """The mirror image: features of (B, channels, bands', frames') to (B, 1, bands, frames)."""

    def __init__(self, config: Conv2dConfig, shape: tuple[int, ...], stats: dict[str, Any]) -> None:
        super().__init__()
        self.sizes = _grid(config, shape)[-2::-1]
        widths = [*config.channels[::-1], 1]
        self.stages = nn.ModuleList()
        for i, (width, channels) in enumerate(itertools.pairwise(widths)):
            last = i == len(widths) - 2
            up = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, bias=last or config.norm == "none")
            self.stages.append(up if last else nn.Sequential(up, NORMS[config.norm](channels), nn.SiLU()))
        self.head = Head(config.head, stats["mean"], stats["std"], low=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction on the data's scale."""
        for stage, (bands, frames) in zip(self.stages, self.sizes, strict=True):
            x = stage(x)[..., :bands, :frames]  # an odd size comes back one too long
        y: Tensor = self.head(x)
        return y
