"""Gaussian posterior (Kingma and Welling 2014, arXiv 1312.6114) with a standard normal or a learned prior."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.core import distributed
from pipeline.models.bottlenecks.base import (
    Bottleneck,
    Code,
    Pointwise,
    layout_shape,
    standard_normal,
    start_as_identity,
)
from pipeline.models.config import GaussianConfig
from pipeline.models.norm import BatchNorm1d
from pipeline.models.priors import PRIORS, LearnedNormal, positive_std, raw_std


class UnitVariance(BatchNorm1d):
    """Batch norm with mean 0, variance 1 and no learned scale (after BN-VAE, Zhu et al. 2020, arXiv 2004.12585).

    Applied to posterior means, it keeps the KL from a standard normal prior at half a nat or more per dimension,
    averaged over the batch.
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, latent, positions), shape unchanged. A single vector has no variance: it uses the running statistics."""
        if self.training and distributed.world_size() * x.shape[0] * x.shape[2] == 1:
            return functional.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(x)


class Gaussian(Bottleneck):
    """One latent vector per window (layout vector), or per position of the features (layout sequence)."""

    def __init__(self, config: GaussianConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.channels, self.positions, self.frames = layout_shape(config.layout, shape)
        self.latent_dims = config.latent * self.positions
        self.isotropic = config.covariance == "isotropic"
        self.split = [config.latent, 1 if self.isotropic else config.latent]
        self.to_posterior = Pointwise(self.channels, sum(self.split))
        self.normalise = UnitVariance(config.latent) if config.batch_norm else nn.Identity()
        self.learned = PRIORS[config.prior.type](config.prior, config.latent, self.channels)
        self.from_latent = Pointwise(config.latent, self.channels)

    def start_as_pca(self, std: Tensor) -> None:
        """See `Bottleneck.start_as_pca`."""
        raw = raw_std(std[: self.split[0]])
        start_as_identity(self.to_posterior, raw=raw.mean(0, keepdim=True) if self.isotropic else raw)
        start_as_identity(self.from_latent)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, (B, latent, positions) each, of features (B, channels, positions)."""
        mean, raw = self.to_posterior(features).split(self.split, dim=1)
        raw = raw.mean(2, keepdim=True) if self.isotropic else raw  # one number per window
        mean = self.normalise(mean)
        return mean, positive_std(raw).expand_as(mean)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        mean, std = self.posterior(features.reshape(-1, self.channels, self.positions))
        z = mean if noise is None else mean + std * noise.reshape(mean.shape)
        kl = None if self.learned is None else self.learned.kl(z, mean, std, self.posterior)
        return Code(z.flatten(1), mean.flatten(1), std.flatten(1), kl)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        features: Tensor = self.from_latent(z.reshape(len(z), -1, self.positions))
        return features.reshape(-1, *self.shape)

    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.sample_prior`."""
        if self.learned is None:
            return standard_normal(number, self.latent_dims, generator)
        z = self.learned.sample(number * self.positions, generator, self.posterior)
        return z.reshape(number, self.positions, -1).transpose(1, 2).flatten(1)

    def whiten(self, z: Tensor) -> Tensor:
        """See `Bottleneck.whiten`."""
        if not isinstance(self.learned, LearnedNormal):
            return z
        return self.learned.whiten(z.unflatten(1, (-1, self.positions))).flatten(1)

    def unwhiten(self, u: Tensor) -> Tensor:
        """See `Bottleneck.unwhiten`."""
        if not isinstance(self.learned, LearnedNormal):
            return u
        return self.learned.unwhiten(u.unflatten(1, (-1, self.positions))).flatten(1)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return super().latent_std() if self.learned is None else self.prior_std()
