"""Schemas of networks and bottlenecks. Adding one: a class here, a line in its union, a line in the registry."""

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.params import Strict


class _Network(Strict):
    """What all networks share."""

    kind: ClassVar[str] = "any"  # of the input: mel, waveform or any

    def problem(self, shape: tuple[int, ...]) -> str | None:
        """Why windows of `shape` cannot be taken, with the key at fault first; None when they can."""
        return None


class _Strided(_Network):
    """Convolutions in stages, each of which shortens every axis."""

    channels: list[int]
    skip: bool = Field(False, description="give each stage's output to the decoder too, past the latent")

    @property
    def strides(self) -> list[int]:
        """By which each stage shortens."""
        raise NotImplementedError

    def problem(self, shape: tuple[int, ...]) -> str | None:
        """See `_Network.problem`."""
        if prod(shrink(size, self.strides)[-1] for size in shape) >= 2:
            return None
        return (
            f"channels: {len(self.channels)} stages leave one position of a window of {' x '.join(map(str, shape))}, "
            "too little for its norms; use fewer, or longer windows"
        )


class Conv2dConfig(_Strided):
    """Strided 2-D convolutions over a mel spectrogram (system D)."""

    kind = "mel"
    type: Literal["conv2d"]
    channels: list[int] = Field([16, 32, 64, 128], min_length=1, description="per stage; each halves bands and frames")
    norm: Literal["batch", "instance", "none"] = "batch"
    head: Literal["linear", "sigmoid", "softplus"] = "linear"

    @property
    def strides(self) -> list[int]:
        """See `_Strided.strides`."""
        return [2] * len(self.channels)


class ResNet1dConfig(_Strided):
    """Strided 1-D residual convolutions over a waveform (system B)."""

    kind = "waveform"
    type: Literal["resnet1d"]
    channels: list[int] = Field([16, 32, 64], min_length=1, description="per stage")
    stride: int = Field(4, ge=2, description="by which each stage shortens the sequence")
    head: Literal["linear", "tanh", "sigmoid"] = "linear"

    @property
    def strides(self) -> list[int]:
        """See `_Strided.strides`."""
        return [self.stride] * len(self.channels)


class GaussianConfig(Strict):
    """Diagonal Gaussian posterior, standard normal prior."""

    type: Literal["gaussian"]
    latent: int = Field(64, ge=1, description="dimensions of the latent vector, or of each position's")
    layout: Literal["vector", "sequence"] = Field(
        "vector", description="one latent vector for the window, or one for each position of the encoder's output"
    )


def shrink(size: int, strides: list[int]) -> list[int]:
    """Lengths along one axis before and after each strided stage: the input's first, each ceil(previous / stride)."""
    sizes = [size]
    for stride in strides:
        sizes.append(-(-sizes[-1] // stride))
    return sizes


class ConditionConfig(Strict):
    """A label given to encoder and decoder, so that a window can be encoded as of one and decoded as of another."""

    type: Literal["film"]


NetworkConfig = Annotated[Conv2dConfig | ResNet1dConfig, Field(discriminator="type")]
# A union of one takes no discriminator: `type` is checked by the class itself.
BottleneckConfig = GaussianConfig
