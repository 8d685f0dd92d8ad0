"""Priors that are mixtures of diagonal Gaussians."""

from abc import abstractmethod
from math import log

import torch
from torch import Tensor, nn

from pipeline.models.config import MixtureConfig, VampConfig
from pipeline.models.gaussians import RAW_ONE, log_density, positive_std
from pipeline.models.priors.base import Posterior, Prior

INITIAL_STD = 0.5  # of the component means: distinct components, all close to a standard normal


class GaussianMixture(Prior):
    """K diagonal Gaussians. The KL has no closed form: it is log q(z|x) - log p(z) at the drawn z, per position."""

    @abstractmethod
    def components(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (K,), means (K, latent) and standard deviations (K, latent)."""

    def log_prob(self, z: Tensor, posterior: Posterior) -> Tensor:
        """(B, positions) log density of latents (B, latent, positions), in nats."""
        weights, mean, std = self.components(posterior)
        densities = log_density(z[:, None], mean[..., None], std[..., None]).sum(2)  # (B, K, positions)
        return torch.logsumexp(weights[:, None] + densities, dim=1)

    def kl(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior) -> Tensor:
        """See `Prior.kl`."""
        return log_density(z, mean, std).sum(1) - self.log_prob(z, posterior)

    def sample(self, number: int, generator: torch.Generator, posterior: Posterior) -> Tensor:
        """See `Prior.sample`."""
        weights, mean, std = (part.to(generator.device) for part in self.components(posterior))
        index = torch.multinomial(weights.exp(), number, replacement=True, generator=generator)
        noise = torch.randn(mean[index].shape, generator=generator, device=generator.device)
        return mean[index] + std[index] * noise


class Mixture(GaussianMixture):
    """Learned weights, means and standard deviations. Components start with equal weight and standard deviation 1."""

    def __init__(self, config: MixtureConfig, latent: int, channels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(config.components))
        self.mean = nn.Parameter(INITIAL_STD * torch.randn(config.components, latent))
        self.raw = nn.Parameter(torch.full((config.components, latent), RAW_ONE))

    def components(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """See `GaussianMixture.components`."""
        return self.logits.log_softmax(0), self.mean, positive_std(self.raw)


class Vamp(GaussianMixture):
    """VampPrior: the mean of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018, arXiv 1705.07120).

    The paper's pseudo-inputs are windows. Here they are features, because the bottleneck does not know the encoder.
    """

    def __init__(self, config: VampConfig, latent: int, channels: int) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(config.pseudo_inputs, channels))

    def components(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """See `GaussianMixture.components`."""
        mean, std = (part.squeeze(2) for part in posterior(self.inputs[..., None]))
        return mean.new_full((len(mean),), -log(len(mean))), mean, std
