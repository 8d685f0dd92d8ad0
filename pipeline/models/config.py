"""Schemas of networks and bottlenecks. Adding one: a class here, a line in its union, a line in the registry."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params import Strict


class Conv2dConfig(Strict):
    """Strided 2-D convolutions over a mel spectrogram (system D)."""

    type: Literal["conv2d"]
    channels: list[int] = Field([16, 32, 64, 128], min_length=1, description="per stage; each halves bands and frames")
    norm: Literal["batch", "instance", "none"] = "batch"
    head: Literal["linear", "sigmoid", "softplus"] = "linear"

    @property
    def stride(self) -> int:
        """By which each stage shortens both axes."""
        return 2


class ResNet1dConfig(Strict):
    """Strided 1-D residual convolutions over a waveform (system B)."""

    type: Literal["resnet1d"]
    channels: list[int] = Field([16, 32, 64], min_length=1, description="per stage")
    stride: int = Field(4, ge=2, description="by which each stage shortens the sequence")
    head: Literal["linear", "tanh", "sigmoid"] = "linear"


class GaussianConfig(Strict):
    """Diagonal Gaussian posterior, standard normal prior."""

    type: Literal["gaussian"]
    latent: int = Field(64, ge=1, description="dimensions of the latent vector, or of each position's")
    layout: Literal["vector", "sequence"] = Field(
        "vector", description="one latent vector for the window, or one for each position of the encoder's output"
    )


def shrink(size: int, stride: int, stages: int) -> list[int]:
    """Lengths along one axis before and after each strided stage: the input's first, each ceil(previous / stride)."""
    sizes = [size]
    for _ in range(stages):
        sizes.append(-(-sizes[-1] // stride))
    return sizes


NetworkConfig = Annotated[Conv2dConfig | ResNet1dConfig, Field(discriminator="type")]
# A union of one takes no discriminator: `type` is checked by the class itself.
BottleneckConfig = GaussianConfig
