"""Schemas of the blocks `network`, `bottleneck` and `condition` of a variant.

A new network, bottleneck or prior needs a class here, a place in its union, and an entry in `NETWORKS`, `BOTTLENECKS`
or `PRIORS`. Systems A to E are the original projects, see docs/variants.md.
"""

from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.params import Count, Section, Width

Latent = Annotated[int, Field(ge=1, le=8192)]  # a learned normal prior has its square as weights
Stride = Annotated[int, Field(ge=2, le=65_536)]
Strides = Stride | list[Stride]
Causal = Annotated[
    bool, Field(description="an output sees only a fixed number of later samples, the latency (docs/blocks.md)")
]


def shrink(size: int, strides: list[int]) -> list[int]:
    """Length of an axis before and after each strided stage: first `size`, then ceil(previous / stride)."""
    sizes = [size]
    for stride in strides:
        sizes.append(-(-sizes[-1] // stride))
    return sizes


class _NetworkConfig(Section):
    """The base class of networks."""

    kind: ClassVar[str] = "any"  # kind of its windows: mel, waveform or any
    components: Annotated[int, Field(ge=1, le=2048)] | None = Field(
        None,
        description="principal components between windows and bottleneck, fitted in closed form: the network corrects "
        "their reconstruction; null: none, the network itself makes the features (the systems' own form)",
    )
    encoder: Literal["network", "inverse"] = Field(
        "network",
        description="what is before the components, if there are any: network: a second network corrects the window; "
        "inverse: no weights, two steps towards the features with the closest decoding",
    )

    @property
    def stride(self) -> int | None:
        """Samples or columns from one position of the features to the next; None if it depends on the window."""
        return None

    def patch_length(self, size: int, positions: int) -> int:
        """Length of the part of an axis that each of its positions stands for."""
        return size if positions == 1 else self.stride or -(-size // positions)


class _StridedConfig(_NetworkConfig):
    """Convolutions in stages, each of which shortens every axis."""

    channels: list[Width]
    strides: Strides
    skip: bool = Field(False, description="the decoder also gets the output of each stage, past the latent")

    @property
    def inputs(self) -> int:
        """Channels of the first stage's input."""
        return 1

    @property
    def stage_strides(self) -> list[int]:
        """The stride of each stage."""
        return self.strides if isinstance(self.strides, list) else [self.strides] * len(self.channels)

    @property
    def stride(self) -> int:
        """See `_NetworkConfig.stride`."""
        return prod(self.stage_strides)

    @property
    def stages(self) -> list[tuple[int, int, int]]:
        """Of each stage of the encoder: channels of its input and of its output, and stride."""
        return list(zip([self.inputs, *self.channels[:-1]], self.channels, self.stage_strides, strict=True))

    @field_validator("strides", mode="before")
    @classmethod
    def _number_or_list(cls, strides: Any) -> Any:
        if not isinstance(strides, int | float | list):
            raise ValueError("Input should be a number, or a list with a number for each stage")
        return strides

    @model_validator(mode="after")
    def _one_stride_per_stage(self) -> Self:
        if len(self.stage_strides) != len(self.channels):
            raise ValueError(f"strides: {len(self.channels)} channels need as many strides, or one number for all")
        return self


class Conv2dConfig(_StridedConfig):
    """Strided 2-D convolutions over a mel spectrogram (system D)."""

    kind = "mel"
    type: Literal["conv2d"]
    channels: list[Width] = Field([16, 32, 64, 128], min_length=1, description="channels of each stage")
    strides: Strides = Field(2, description="factor by which stages shorten bands and frames; a list: one per stage")
    blocks: int = Field(0, ge=0, le=64, description="residual blocks of each stage")
    norm: Literal["batch", "instance", "none"] = Field("batch", description="norm of each stage (instance: system D)")
    activation: Literal["silu", "gelu"] = Field("silu", description="activation after each norm (gelu: system A)")
    head: Literal["linear", "sigmoid", "softplus"] = Field("linear", description="last layer (softplus: system D)")


class Strided1dConfig(_StridedConfig):
    """The base class of 1-D convolutional networks."""

    kind = "waveform"
    channels: list[Width] = Field([16, 32, 64], min_length=1, description="channels of each stage")
    strides: Strides = Field(4, description="factor by which stages shorten the sequence; a list: one per stage")
    head: Literal["linear", "tanh", "sigmoid"] = Field("linear", description="last layer (sigmoid: system B)")


class ResNet1dConfig(Strided1dConfig):
    """Strided 1-D residual convolutions over a waveform (system B)."""

    type: Literal["resnet1d"]


class Conv1dConfig(Strided1dConfig):
    """Strided 1-D convolutions over a waveform with dilated residual units (systems C and E)."""

    type: Literal["conv1d"]
    activation: Literal["snake", "elu", "leaky_relu"] = Field("snake", description="activation between convolutions")
    weight_norm: bool = Field(True, description="learn direction and length of each kernel separately")
    causal: Causal = False
    pqmf: Annotated[int, Field(ge=2, le=256)] | None = Field(
        None,
        description="bands of a filter bank around the network, which then works at a fraction of the sample rate "
        "(RAVE: 16); null: none",
    )
    pooling: Literal["none", "global"] = Field(
        "none", description="global: features are averaged over time, and the decoder expands them again (system C)"
    )

    @property
    def inputs(self) -> int:
        """See `_StridedConfig.inputs`."""
        return self.pqmf or 1

    @property
    def stride(self) -> int:
        """See `_NetworkConfig.stride`; a position of the bands stands for as many samples as there are bands."""
        return (self.pqmf or 1) * super().stride


class FullyConnectedConfig(_NetworkConfig):
    """Fully connected layers over a window or over each frame of it (system E; the simple VAE of system C)."""

    type: Literal["fc"]
    layers: int = Field(3, ge=1, le=15, description="hidden layers on each side of the bottleneck")
    width: Width = Field(256, description="units of each hidden layer")
    frame: Count | None = Field(
        None, description="samples, or columns of a mel, per frame; null: the whole window (systems C and E)"
    )
    head: Literal["linear", "sigmoid"] = Field("linear", description="last layer")

    @property
    def stride(self) -> int | None:
        """See `_NetworkConfig.stride`."""
        return self.frame


class TransformerConfig(_NetworkConfig):
    """Attention between patches of a waveform and a few latent tokens (system E)."""

    kind = "waveform"
    type: Literal["transformer"]
    patch: int = Field(125, ge=2, le=1_000_000, description="samples from one patch to the next")
    tokens: Width = Field(60, description="latent tokens per window, evenly spaced; at most one per patch")
    layers: int = Field(3, ge=1, le=128, description="blocks of self-attention on each side of the bottleneck")
    width: int = Field(128, ge=2, le=65_536, description="channels of a token: a multiple of twice `heads`")
    heads: Width = Field(4, description="heads of each attention")
    head: Literal["linear", "tanh", "sigmoid"] = Field("linear", description="last layer")


class IstftConfig(_NetworkConfig):
    """ConvNeXt blocks over the frames of a waveform's STFT, and an inverse STFT (after Vocos, arXiv 2306.00814)."""

    kind = "waveform"
    type: Literal["istft"]
    n_fft: int = Field(
        2048, ge=4, le=65_536, multiple_of=2, description="samples per frame of the STFT: a multiple of `hop`"
    )
    hop: int = Field(
        512, ge=1, le=32_768, description="samples from one frame to the next: `n_fft` divided by 2, 3, 4 ..."
    )
    width: Width = Field(256, description="channels of all blocks")
    layers: int = Field(
        4, ge=1, le=128, description="ConvNeXt blocks at each frame rate, on each side of the bottleneck"
    )
    strides: list[Stride] = Field(
        [], description="factors by which further stages lower the frame rate; empty: a latent position per frame"
    )
    head: Literal["linear", "polar"] = Field(
        "polar", description="last layer: linear: real and imaginary parts; polar: log magnitude and phase, as in Vocos"
    )
    causal: Causal = False

    @property
    def stride(self) -> int:
        """See `_NetworkConfig.stride`."""
        return self.hop * prod(self.strides)

    @model_validator(mode="after")
    def _frames_overlap(self) -> Self:
        if self.n_fft % self.hop or self.n_fft == self.hop:
            raise ValueError(
                f"hop: it must be n_fft ({self.n_fft}) divided by 2, 3, 4 ..., so that frames overlap evenly"
            )
        return self


class VocoderNetworkConfig(Section):
    """ConvNeXt blocks over the frames of a mel, and Griffin-Lim from the phases that they give."""

    width: Width = Field(128, description="channels of all blocks")
    layers: int = Field(4, ge=1, le=128, description="ConvNeXt blocks")
    iterations: int = Field(2, ge=0, le=100, description="of Griffin-Lim inside the network; when it is used, two more")


class IdentityConfig(_NetworkConfig):
    """No network: the features are the window itself."""

    type: Literal["identity"]
    head: ClassVar[str] = "linear"


NetworkConfig = Annotated[
    Conv2dConfig
    | ResNet1dConfig
    | Conv1dConfig
    | FullyConnectedConfig
    | TransformerConfig
    | IstftConfig
    | IdentityConfig,
    Field(discriminator="type"),
]


class StandardPriorConfig(Section):
    """Standard normal (system D)."""

    type: Literal["standard"]


class NormalPriorConfig(Section):
    """Gaussian with a learned mean and covariance."""

    type: Literal["normal"]


class MixtureConfig(Section):
    """Mixture of Gaussians with learned weights, means and standard deviations."""

    type: Literal["mixture"]
    components: int = Field(10, ge=2, le=65_536, description="Gaussians in the mixture")


class VampConfig(Section):
    """VampPrior: mixture of the posteriors of learned pseudo-inputs."""

    type: Literal["vamp"]
    pseudo_inputs: Width = Field(50, description="number of pseudo-inputs, each as large as the features")


PriorConfig = Annotated[
    StandardPriorConfig | NormalPriorConfig | MixtureConfig | VampConfig, Field(discriminator="type")
]


class GaussianConfig(Section):
    """Gaussian posterior."""

    type: Literal["gaussian"]
    latent: Latent = Field(64, description="latent dimensions, per window or per position")
    layout: Literal["vector", "sequence"] = Field("vector", description="latent per window, or per position in it")
    covariance: Literal["diagonal", "isotropic"] = Field(
        "diagonal", description="covariance of the posterior; isotropic: one standard deviation per window (system E)"
    )
    batch_norm: bool = Field(False, description="posterior means get variance 1 over the batch (systems C and E)")
    prior: PriorConfig = Field(StandardPriorConfig(type="standard"), description="prior of the latent at each position")

    @model_validator(mode="after")
    def _no_batch_norm_with_vamp(self) -> "GaussianConfig":
        if self.batch_norm and self.prior.type == "vamp":
            raise ValueError("batch_norm: it would mix vamp's pseudo-inputs with the windows; use another prior")
        return self


class HierarchicalConfig(Section):
    """Two levels of Gaussians, z2 above z1, with a learned prior p(z1|z2) (system C)."""

    type: Literal["hierarchical"]
    latent_z2: Latent = Field(16, description="dimensions of z2, one vector per window")
    latent_z1: Latent = Field(48, description="dimensions of z1, per window or per position")
    layout: Literal["vector", "sequence"] = Field("vector", description="layout of z1, as for a gaussian bottleneck")


class _QuantisedConfig(Section):
    """The base class of quantisers: a code per position of the encoder's output, and a prior over the codes."""

    prior_width: Width = Field(128, description="width of the recurrent network that is the prior over the codes")


class VQConfig(_QuantisedConfig):
    """Learned codebook, looked up by cosine similarity."""

    type: Literal["vq"]
    codes: int = Field(256, ge=2, le=65_536, description="codebook size")
    dim: int = Field(8, ge=2, le=65_536, description="numbers in a code")


class FSQConfig(_QuantisedConfig):
    """Codes on a fixed grid."""

    type: Literal["fsq"]
    levels: list[Annotated[int, Field(ge=3, le=65_536)]] = Field(
        [8, 5, 5, 5], min_length=1, description="levels per number of a code; their product is the codebook size"
    )

    @model_validator(mode="after")
    def _codes_fit(self) -> Self:
        if prod(self.levels) > 65_536:
            raise ValueError(f"levels: they make {prod(self.levels)} codes, more than 65536; use fewer or lower ones")
        return self


class LinearConfig(Section):
    """Principal components of the train windows, fitted in closed form: the baselines."""

    type: Literal["linear"]
    latent: int = Field(ge=0, le=2048, description="number of components; 0: the train mean")


BottleneckConfig = Annotated[
    GaussianConfig | HierarchicalConfig | VQConfig | FSQConfig | LinearConfig, Field(discriminator="type")
]


class ConditionConfig(Section):
    """The label of a window is given to encoder and decoder, so a window can be transferred to another label."""

    type: Literal["film"]
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the train windows whose label is dropped")
