"""Gaussian posterior (Kingma and Welling 2014, arXiv 1312.6114), standard normal or learned prior."""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.core import distributed
from pipeline.models.bottlenecks.base import Bottleneck, Code, normal
from pipeline.models.config import GaussianConfig
from pipeline.models.gaussians import deviation
from pipeline.models.norm import BatchNorm1d
from pipeline.models.priors import PRIORS
from pipeline.models.priors.normal import LearnedNormal


class UnitVariance(BatchNorm1d):
    """Mean 0 and variance 1 over the batch, nothing learned (after BN-VAE, Zhu et al. 2020, arXiv 2004.12585).

    On posterior means it keeps the KL of each dimension from a standard normal at half a nat or more, averaged over the
    batch. A scale of 1 is what suits a dimension of several nats: its aggregate posterior is then the prior.
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, latent, positions), shape unchanged. A single vector has no variance and takes the running one."""
        if self.training and distributed.world_size() * x.shape[0] * x.shape[2] == 1:
            return functional.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        y: Tensor = super().forward(x)
        return y


class Gaussian(Bottleneck):
    """One latent vector for a window (layout vector), or one for each position of the features (layout sequence)."""

    def __init__(self, config: GaussianConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        channels, positions = (prod(shape), 1) if config.layout == "vector" else (shape[0], prod(shape[1:]))
        self.flat = (channels, positions)
        self.latent_dims = config.latent * positions
        deviations = 1 if config.covariance == "isotropic" else config.latent
        self.parts = [config.latent, deviations]
        self.isotropic = config.covariance == "isotropic"
        self.to_posterior = nn.Conv1d(channels, config.latent + deviations, 1)
        self.normalise = UnitVariance(config.latent) if config.batch_norm else nn.Identity()
        learned = PRIORS.get(config.prior.type)
        self.learned = None if learned is None else learned(config.prior, config.latent, channels)
        self.from_latent = nn.Conv1d(config.latent, channels, 1)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, (B, latent, positions) each, of features (B, channels, positions)."""
        mean, raw = self.to_posterior(features).split(self.parts, dim=1)
        raw = raw.mean(2, keepdim=True) if self.isotropic else raw  # one number for the window
        mean = self.normalise(mean)
        return mean, deviation(raw).expand_as(mean)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        mean, std = self.posterior(features.reshape(-1, *self.flat))
        z = mean if noise is None else mean + std * noise.reshape(mean.shape)
        flat = z.flatten(1), mean.flatten(1), std.flatten(1)
        if self.learned is None:
            return Code(*flat, torch.zeros_like(flat[1]), torch.ones_like(flat[2]))
        return Code(*flat, rate=self.learned.rate(z, mean, std, self.posterior))

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        features: Tensor = self.from_latent(z.reshape(len(z), -1, self.flat[1]))
        return features.reshape(-1, *self.shape)

    def prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.prior`."""
        if self.learned is None:
            return normal(number, self.latent_dims, generator)
        drawn = self.learned.draw(number * self.flat[1], generator, self.posterior)
        return drawn.reshape(number, self.flat[1], -1).transpose(1, 2).flatten(1)

    def whiten(self, z: Tensor) -> Tensor:
        """See `Bottleneck.whiten`."""
        if not isinstance(self.learned, LearnedNormal):
            return z
        return self.learned.whiten(z.unflatten(1, (-1, self.flat[1]))).flatten(1)

    def colour(self, u: Tensor) -> Tensor:
        """See `Bottleneck.colour`."""
        if not isinstance(self.learned, LearnedNormal):
            return u
        return self.learned.colour(u.unflatten(1, (-1, self.flat[1]))).flatten(1)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return super().latent_std() if self.learned is None else self.prior_std()
