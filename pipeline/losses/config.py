"""Schema of a variant's `loss` block. Systems A to E are the original projects, see docs/variants.md."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Betas, Count, Section, Weight, Width

SPECTRAL_KINDS = {"fourier": "mel", "band_levels": "waveform", "mrstft": "waveform", "multi_mel": "waveform"}


class ReconstructionConfig(Section):
    """The distance of a reconstruction from its original, and how it becomes nats per window."""

    type: Literal["gaussian", "mse", "l1", "bce", "log_magnitude", "mrstft", "multi_mel"] = Field(
        "gaussian",
        description="gaussian: a likelihood with standard deviation `sigma`; others: a distance, summed over the "
        "window (bce: system B, log_magnitude: system D; mrstft, multi_mel: see spectral.type)",
    )
    sigma: Annotated[float, Field(ge=1e-6, le=1e6)] | Literal["optimal"] = Field(
        "optimal", description="gaussian only: a fixed value, or optimal: fitted to each batch"
    )
    weighting: Literal["none", "musical", "a_weighting"] = Field(
        "none",
        description="weights of mel bands, with mean 1: of bass, middle and treble (system A), or A-weighting",
    )

    @model_validator(mode="after")
    def _sigma_is_gaussian_only(self) -> Self:
        if self.type != "gaussian" and self.sigma != "optimal":
            raise ValueError(f"sigma: only a gaussian likelihood has one, not {self.type}; leave it out")
        return self


class KLConfig(Section):
    """The KL term and its weight."""

    beta: Weight = Field(1.0, description="final weight, against the likelihood summed over the window's values")
    estimator: Literal["analytic", "monte_carlo"] = Field(
        "analytic", description="closed form, or log q(z|x) - log p(z) at the drawn z (monte_carlo: system B)"
    )
    schedule: Literal["constant", "linear", "cyclical", "log"] = Field(
        "linear", description="how the weight reaches beta: constant, or rising linearly, in cycles or exponentially"
    )
    warmup: float = Field(0.3, ge=0, le=1, description="warm-up of linear, log, capacity, balance; share of training")
    cycles: Count = Field(4, description="of schedule cyclical: the weight rises in the first half of each")
    free_nats: Weight = Field(0.0, description="nats below which the KL has no gradient; a bit is 0.693 nats")
    free_nats_per: Literal["dimension", "level", "window"] = Field(
        "dimension",
        description="unit of free_nats: a latent dimension or level of a hierarchy, mean over the batch; or a window",
    )
    capacity: Weight | None = Field(
        None, description="target of the KL in nats per window, which rises from 0 over the warm-up; null: 0"
    )
    balance: bool = Field(False, description="in the warm-up, weight the levels of a hierarchy by their KL")

    @model_validator(mode="after")
    def _free_nats_or_capacity(self) -> Self:
        if self.free_nats and self.capacity is not None:
            raise ValueError("capacity: free_nats is set too, and both limit the KL; set one")
        return self


class CodebookConfig(Section):
    """Penalties of a learned codebook, in nats per value of the window."""

    commitment: Weight = Field(0.25, description="weight of the squared distance of an encoding to its code")
    adaptive: bool = Field(False, description="divide that weight by the variance of the encodings (system C)")
    usage: Weight = Field(0.0, description="weight of the penalty, 0 to 1, on uneven code usage (system C)")


class SpectralConfig(Section):
    """A distance of spectra, and its weight."""

    weight: Weight = Field(0.0, description="weight, relative to the reconstruction distance; 0: none")
    type: Literal["fourier", "band_levels", "mrstft", "multi_mel"] | None = Field(
        None,
        description="fourier: FFTs of a mel; of a waveform: band_levels: levels of mel bands, mrstft: multi-resolution "
        "STFT distance, multi_mel: log-mel distance at seven scales; null: fourier of a mel, band_levels of a waveform",
    )


class AdversarialConfig(Section):
    """Discriminators that are trained with the model, and the terms that they add to its loss."""

    types: list[Literal["patch", "multi_scale_stft", "multi_period"]] = Field(
        ["patch"],
        min_length=1,
        description="discriminators, trained together; multi_scale_stft and multi_period are for waveforms",
    )
    weight: Weight = Field(0.0, description="weight of the hinge loss; 0: no discriminator")
    feature_matching: Weight = Field(
        0.0, description="weight of the distance of the discriminators' features, relative to those of the originals"
    )
    start: float = Field(
        0.0, ge=0, lt=1, description="share of the steps after which the discriminators and their terms begin"
    )
    width: Width = Field(16, description="channels of a discriminator's first layer")
    learning_rate: float = Field(2e-4, gt=0, le=1000, description="constant learning rate of the discriminators")
    betas: Betas = Field([0.5, 0.9], description="decays of the first and second moment of their optimiser (AdamW)")

    @model_validator(mode="after")
    def _features_need_a_discriminator(self) -> Self:
        if self.feature_matching and not self.weight:
            raise ValueError("feature_matching: without a weight there are no discriminators; set weight too")
        return self


class LossConfig(Section):
    """The objective of a variant. Weights of further terms are relative to the reconstruction distance."""

    reconstruction: ReconstructionConfig = Field(ReconstructionConfig(), description="distance and likelihood")
    spectral: SpectralConfig = Field(SpectralConfig(), description="distance of spectra")
    range: Weight = Field(0.0, description="penalty for values over 10 % outside the range of the data (system A)")
    adversarial: AdversarialConfig = Field(AdversarialConfig(), description="discriminators and their terms")
    kl: KLConfig = Field(KLConfig(), description="weight and schedule of the KL")
    codebook: CodebookConfig | None = Field(None, description="penalties of a learned codebook, for bottleneck vq only")
