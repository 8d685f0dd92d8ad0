"""What learned priors share."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.models.gaussians import log_density

Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]  # features (K, channels, 1) to mean and std, (K, latent, 1) each


class Prior(nn.Module):
    """A density over the latent vectors of single positions; a window with one vector has one position.

    `posterior` in its methods is the bottleneck's: a prior may be made of posteriors.
    """

    @abstractmethod
    def rate(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior) -> Tensor:
        """(B, units) nats of the KL from the prior: exact where it has a closed form, else at the drawn `z`.

        Args:
            z: (B, latent, positions).
            mean: likewise, of the posterior.
            std: likewise.
            posterior: of the bottleneck.
        """

    @abstractmethod
    def draw(self, number: int, generator: torch.Generator, posterior: Posterior) -> Tensor:
        """(number, latent) vectors on the generator's device, which alone decides them."""


class GaussianMixture(Prior):
    """K diagonal Gaussians. The KL from it has no closed form: log q(z|x) - log p(z) at the drawn z, by position."""

    @abstractmethod
    def parts(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (K,), means (K, latent) and standard deviations (K, latent) of the Gaussians."""

    def log_prob(self, z: Tensor, posterior: Posterior) -> Tensor:
        """(B, positions) nats of latents (B, latent, positions)."""
        weights, mean, std = self.parts(posterior)
        each = log_density(z[:, None], mean[..., None], std[..., None]).sum(2)  # (B, K, positions)
        return torch.logsumexp(weights[:, None] + each, dim=1)

    def rate(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior) -> Tensor:
        """See `Prior.rate`."""
        return log_density(z, mean, std).sum(1) - self.log_prob(z, posterior)

    def draw(self, number: int, generator: torch.Generator, posterior: Posterior) -> Tensor:
        """See `Prior.draw`."""
        weights, mean, std = (part.to(generator.device) for part in self.parts(posterior))
        picked = torch.multinomial(weights.exp(), number, replacement=True, generator=generator)
        noise = torch.randn(mean[picked].shape, generator=generator, device=generator.device)
        return mean[picked] + std[picked] * noise
