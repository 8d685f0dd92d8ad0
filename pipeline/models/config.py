"""Schemas of networks and bottlenecks. Adding one: a class here, a line in its union, a line in the registry."""

from abc import abstractmethod
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.core.params import Section


class _Network(Section):
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
    @abstractmethod
    def strides(self) -> list[int]:
        """By which each stage shortens."""

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
    norm: Literal["batch", "instance", "none"] = Field("batch", description="after each convolution")
    activation: Literal["silu", "gelu"] = Field("silu", description="after each norm")
    head: Literal["linear", "sigmoid", "softplus"] = Field("linear", description="what makes the output's values")

    @property
    def strides(self) -> list[int]:
        """See `_Strided.strides`."""
        return [2] * len(self.channels)


class Strided1dConfig(_Strided):
    """What the 1-D convolutional networks share."""

    kind = "waveform"
    channels: list[int] = Field([16, 32, 64], min_length=1, description="per stage")
    stride: int = Field(4, ge=2, description="by which each stage shortens the sequence")
    head: Literal["linear", "tanh", "sigmoid"] = Field("linear", description="what makes the output's values")

    @property
    def strides(self) -> list[int]:
        """See `_Strided.strides`."""
        return [self.stride] * len(self.channels)


class ResNet1dConfig(Strided1dConfig):
    """Strided 1-D residual convolutions over a waveform (system B)."""

    type: Literal["resnet1d"]


class Conv1dConfig(Strided1dConfig):
    """Strided 1-D convolutions over a waveform with dilated residual units (systems C and E)."""

    type: Literal["conv1d"]
    activation: Literal["snake", "elu", "leaky_relu"] = Field("snake", description="between convolutions")
    weight_norm: bool = Field(True, description="direction and length of each kernel learnt apart")
    pooling: Literal["none", "global"] = Field(
        "none", description="global: the features' means over time, from which the decoder makes every position again"
    )

    def problem(self, shape: tuple[int, ...]) -> str | None:
        """None: without norms, one position is enough."""
        return None


class FullyConnectedConfig(_Network):
    """Fully connected layers over a window or over each frame of it (system E; system C's simple VAE of mels)."""

    type: Literal["fc"]
    layers: int = Field(3, ge=1, le=15, description="hidden layers on each side of the bottleneck")
    width: int = Field(256, ge=1, description="units of each hidden layer")
    frame: int | None = Field(
        None, ge=1, description="samples (of a mel: columns) that they see at a time; null: the whole window"
    )
    head: Literal["linear", "sigmoid"] = Field("linear", description="what makes the output's values")

    def problem(self, shape: tuple[int, ...]) -> str | None:
        """See `_Network.problem`."""
        if self.frame is not None and self.frame > shape[-1]:
            return f"frame: {self.frame} is longer than the {shape[-1]} of a window"
        return None


class TransformerConfig(_Network):
    """Attention between patches of a waveform and a few latent tokens (system E)."""

    kind = "waveform"
    type: Literal["transformer"]
    patch: int = Field(125, ge=2, description="samples from one patch to the next")
    tokens: int = Field(60, ge=1, description="latent tokens of a window, evenly spread; at most as many as patches")
    layers: int = Field(3, ge=1, description="blocks of self-attention on each side of the bottleneck")
    width: int = Field(128, ge=2, description="channels of a token: a multiple of twice `heads`")
    heads: int = Field(4, ge=1, description="of each attention")
    head: Literal["linear", "tanh", "sigmoid"] = Field("linear", description="what makes the output's values")

    def problem(self, shape: tuple[int, ...]) -> str | None:
        """See `_Network.problem`."""
        if self.width % (2 * self.heads):
            return f"width: {self.width} is not a multiple of twice the {self.heads} heads, which rotary positions need"
        if self.patch > shape[0]:
            return f"patch: {self.patch} samples are more than a window's {shape[0]}"
        return None


class StandardPriorConfig(Section):
    """Standard normal."""

    type: Literal["standard"]


class NormalPriorConfig(Section):
    """Gaussian whose mean and covariance are learned: a standard normal seen through a linear layer."""

    type: Literal["normal"]


class MixtureConfig(Section):
    """Mixture of Gaussians, all of it learned."""

    type: Literal["mixture"]
    components: int = Field(10, ge=2, description="Gaussians in the mixture")


class VampConfig(Section):
    """VampPrior: mixture of the posteriors of learned inputs."""

    type: Literal["vamp"]
    pseudo_inputs: int = Field(50, ge=1, description="each is as large as the features of a window, or of a position")


PriorConfig = Annotated[
    StandardPriorConfig | NormalPriorConfig | MixtureConfig | VampConfig, Field(discriminator="type")
]


class IdentityConfig(_Network):
    """No network: the bottleneck sees the window itself."""

    type: Literal["identity"]
    head: ClassVar[str] = "linear"


class GaussianConfig(Section):
    """Gaussian posterior."""

    type: Literal["gaussian"]
    latent: int = Field(64, ge=1, description="dimensions of the latent vector, or of each position's")
    layout: Literal["vector", "sequence"] = Field(
        "vector", description="one latent vector for the window, or one for each position of the encoder's output"
    )
    covariance: Literal["diagonal", "isotropic"] = Field(
        "diagonal", description="of the posterior: isotropic has one standard deviation for the whole window (system E)"
    )
    batch_norm: bool = Field(False, description="posterior means have variance 1 over the batch in every dimension")
    prior: PriorConfig = Field(
        StandardPriorConfig(type="standard"), description="with layout sequence, of each position by itself"
    )

    @model_validator(mode="after")
    def _own_statistics(self) -> "GaussianConfig":
        if self.batch_norm and self.prior.type == "vamp":
            raise ValueError("batch_norm: it would mix vamp's pseudo-inputs with the windows; use another prior")
        return self


class HierarchicalConfig(Section):
    """Two levels of Gaussians, z2 above z1, with a learned prior p(z1|z2) (system C)."""

    type: Literal["hierarchical"]
    latent_z2: int = Field(16, ge=1, description="dimensions of z2, one vector for the window")
    latent_z1: int = Field(48, ge=1, description="dimensions of z1's vector, or of each position's")
    layout: Literal["vector", "sequence"] = Field("vector", description="of z1, as of a gaussian bottleneck")


class _Quantised(Section):
    """What quantisers share: a code for each position of the encoder's output, and a prior over the codes."""

    prior_width: int = Field(128, ge=1, description="of the recurrent network that is the prior over the codes")


class VQConfig(_Quantised):
    """Learnt codes, looked up by cosine."""

    type: Literal["vq"]
    codes: int = Field(256, ge=2, description="in the codebook")
    dim: int = Field(8, ge=2, description="numbers in a code")


class FSQConfig(_Quantised):
    """Codes on a grid."""

    type: Literal["fsq"]
    levels: list[Annotated[int, Field(ge=3)]] = Field(
        [8, 5, 5, 5], min_length=1, description="per number of a code; their product is the number of codes"
    )


class LinearConfig(Section):
    """Principal components of the train windows, fitted in closed form: the baselines."""

    type: Literal["linear"]
    latent: int | None = Field(
        ge=0, le=2048, description="components kept; 0: the train mean alone; null: all, 2048 at most"
    )


def shrink(size: int, strides: list[int]) -> list[int]:
    """Lengths along one axis before and after each strided stage: the input's first, each ceil(previous / stride)."""
    sizes = [size]
    for stride in strides:
        sizes.append(-(-sizes[-1] // stride))
    return sizes


class ConditionConfig(Section):
    """A label given to encoder and decoder, so that a window can be encoded as of one and decoded as of another."""

    type: Literal["film"]
    dropout: float = Field(
        0.1, ge=0, lt=1, description="share of the training windows whose label is withheld, so that none may be given"
    )


NetworkConfig = Annotated[
    Conv2dConfig | ResNet1dConfig | Conv1dConfig | FullyConnectedConfig | TransformerConfig | IdentityConfig,
    Field(discriminator="type"),
]
BottleneckConfig = Annotated[
    GaussianConfig | HierarchicalConfig | VQConfig | FSQConfig | LinearConfig, Field(discriminator="type")
]
