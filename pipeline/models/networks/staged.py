"""The base classes of convolutional networks: stages that shorten every axis of a window, and their mirror image."""

from collections.abc import Iterable

from torch import Tensor, nn

from pipeline.models.config import Conv2dConfig, Strided1dConfig, shrink
from pipeline.models.networks.layers import Head, Standardise
from pipeline.models.signal import Signal


class StagedEncoder(nn.Module):
    """Windows (B, 1, *window) to features of `self.shape` = (channels, *shortened window)."""

    def __init__(self, config: Conv2dConfig | Strided1dConfig, signal: Signal, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.standardise: nn.Module = Standardise(signal)
        self.skip = config.skip
        self.stages = nn.ModuleList(stages)
        self.shape = (config.channels[-1], *(shrink(size, config.stage_strides)[-1] for size in signal.shape))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape); with skips also the output of each earlier stage, the deepest first."""
        x = self.standardise(x)
        outputs = [x := stage(x) for stage in self.stages]
        return outputs[::-1] if self.skip else outputs[-1:]


class StagedDecoder(nn.Module):
    """Features to windows. The output of a stage may be too long: the end is cut off.

    `skip_layer` makes the layer for a skip connection from its channels.
    """

    def __init__(
        self,
        config: Conv2dConfig | Strided1dConfig,
        signal: Signal,
        stages: Iterable[nn.Module],
        skip_layer: type[nn.Conv1d | nn.Conv2d],
    ) -> None:
        super().__init__()
        self.sizes = list(zip(*(shrink(size, config.stage_strides)[-2::-1] for size in signal.shape), strict=True))
        self.stages = nn.ModuleList(stages)
        self.skips = nn.ModuleList(skip_layer(c, c, 1) for c in config.channels[-2::-1] if config.skip)
        self.head: nn.Module = Head(config.head, signal)

    @property
    def last(self) -> nn.Module:
        """The layer that makes the values of the window."""
        return [layer for layer in self.stages[-1].children() if not isinstance(layer, nn.PixelShuffle)][-1]

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, *window) on the scale of the data, from the features and any skips."""
        x, *skips = inputs
        for i, (stage, sizes) in enumerate(zip(self.stages, self.sizes, strict=True)):
            # Slices, not `narrow`: a full slice is no operation, so a gradient keeps its memory format.
            x = stage(x)[(..., *(slice(size) for size in sizes))]
            if i < len(skips):
                x = x + self.skips[i](skips[i])
        y: Tensor = self.head(x)
        return y
