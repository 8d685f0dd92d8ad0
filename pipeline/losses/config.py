"""Schema of a variant's `loss` block."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section

STFT_WINDOWS = (2048, 1024, 512, 256, 128)  # samples, of the spectral term on a waveform


class ReconstructionConfig(Section):
    """How the distance of a reconstruction from its original becomes nats per window."""

    type: Literal["gaussian", "mse", "l1", "bce", "log_magnitude"] = Field(
        "gaussian",
        description="gaussian: a likelihood of scale `sigma`; the others: a distance, summed over the window",
    )
    sigma: Annotated[float, Field(gt=0)] | Literal["optimal"] = Field(
        "optimal", description="gaussian only: its scale, or fitted to each batch"
    )
    weighting: Literal["none", "musical", "a_weighting"] = Field(
        "none", description="of a mel's bands, with mean 1: system A's low, mid and high, or A-weighting's gain"
    )

    @model_validator(mode="after")
    def _sigma_is_read(self) -> Self:
        if self.type != "gaussian" and self.sigma != "optimal":
            raise ValueError(f"sigma: only a gaussian likelihood has one, not {self.type}; leave it out")
        return self


class KLConfig(Section):
    """The KL term and how its weight grows."""

    beta: float = Field(1.0, ge=0, description="final weight, against the likelihood summed over the window's values")
    estimator: Literal["analytic", "monte_carlo"] = Field(
        "analytic", description="the integral, or log q(z|x) - log p(z) at the sample that is decoded"
    )
    schedule: Literal["constant", "linear", "cyclical", "log"] = Field(
        "linear", description="how the weight grows to beta: not at all, evenly, in repeated rises, or by even factors"
    )
    warmup: float = Field(
        0.3, ge=0, le=1, description="share of the training over which linear and log, capacity and balance go"
    )
    cycles: int = Field(4, ge=1, description="of a cyclical schedule; the first half of each rises, the second holds")
    free_bits: float = Field(0.0, ge=0, description="nats below which the KL costs no more")
    free_bits_per: Literal["dimension", "level", "window"] = Field(
        "dimension",
        description="of each latent dimension or level of a hierarchy, averaged over the batch; or of each window",
    )
    capacity: float | None = Field(
        None, ge=0, description="nats per window that the KL is drawn to, from 0 over the warm-up; null: drawn to 0"
    )
    balance: bool = Field(False, description="of a hierarchy: during the warm-up the fuller level pays more")

    @model_validator(mode="after")
    def _one_target(self) -> "KLConfig":
        if self.free_bits and self.capacity is not None:
            raise ValueError("capacity: free_bits is set too, and both say how large the KL may be; set one")
        return self


class CodebookConfig(Section):
    """What keeps encodings near a learnt codebook, and the codebook in use: nats per value of the window."""

    commitment: float = Field(0.25, ge=0, description="weight of the squared distance of an encoding to its code")
    adaptive: bool = Field(False, description="divide that weight by the variance of the encodings")
    usage: float = Field(0.0, ge=0, description="weight of the unevenness, 0 to 1, with which the codes are used")


class LossConfig(Section):
    """What a variant minimises. The numbers are weights of further terms against the reconstruction's distance."""

    reconstruction: ReconstructionConfig = Field(ReconstructionConfig(), description="its distance, and its likelihood")
    spectral: float = Field(0.0, ge=0, description="FFTs of a mel along time and bands; STFTs of a waveform")
    range: float = Field(0.0, ge=0, description="values more than 10 % of the data's scale outside it")
    adversarial: float = Field(0.0, ge=0, description="a patch discriminator, which learns beside the model")
    kl: KLConfig = Field(KLConfig(), description="its weight, and how that grows")
    codebook: CodebookConfig | None = Field(None, description="bottleneck vq only")
