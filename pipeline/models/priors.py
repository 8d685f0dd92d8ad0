"""Learned priors of the Gaussian bottleneck, and functions of diagonal Gaussians."""

from abc import abstractmethod
from collections.abc import Callable
from math import expm1, log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import MixtureConfig, VampConfig

MIN_STD = 1e-4
RAW_ONE = log(expm1(1.0))  # softplus maps it to 1
INITIAL_STD = 0.5  # std of a mixture's initial means: distinct components, close to a standard normal
Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]  # features (K, channels, 1) to mean and std, (K, latent, 1) each


def positive_std(raw: Tensor) -> Tensor:
    """Standard deviations softplus(raw) + 1e-4 from the outputs of a layer, in 32 bits: exp(raw) can overflow."""
    return functional.softplus(raw.float()) + MIN_STD


def raw_std(std: Tensor) -> Tensor:
    """The inverse of `positive_std`."""
    return (std - MIN_STD).clamp_min(MIN_STD).expm1().log()


def log_density(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log density of each value of `z` under Normal(mean, std), in nats."""
    return -0.5 * ((z - mean) / std).square() - torch.log(std) - 0.5 * log(2 * pi)


class Prior(nn.Module):
    """A density over the latent vector of one position; a window with layout vector has one position.

    Each method gets the bottleneck's `posterior`, because a prior may consist of posteriors. A new prior needs a config
    class in `models/config.py` (a member of `PriorConfig`), an entry in `PRIORS`, and this class:

        class Unit(Prior):
            def __init__(self, config: UnitConfig, latent: int, channels: int) -> None:
                super().__init__()
                self.latent = latent
            def kl(self, z, mean, std, posterior): return 0.5 * (mean**2 + std**2 - 1 - 2 * std.log()).flatten(1)
            def sample(self, number, generator, posterior): return standard_normal(number, self.latent, generator)
    """

    @abstractmethod
    def kl(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior) -> Tensor:
        """(B, units) KL of the posterior from the prior in nats: exact, or an estimate at the drawn `z`.

        `z`, and `mean` and `std` of the posterior, are (B, latent, positions).
        """

    @abstractmethod
    def sample(self, number: int, generator: torch.Generator, posterior: Posterior) -> Tensor:
        """(number, latent) samples on the generator's device. The generator alone determines them."""


class LearnedNormal(Prior):
    """Standard normal in the coordinates u = A (z - mean), with a lower triangular A that starts as the identity.

    A standard normal prior and a linear layer can express the same. But this prior follows the scale and the
    correlations of the posterior means from the first steps, so its samples lie where the decoder was trained.
    """

    below: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent))
        self.raw = nn.Parameter(torch.full((latent,), RAW_ONE))  # the diagonal of A, before softplus
        self.rest = nn.Parameter(torch.zeros(latent, latent))  # A below the diagonal (a name in checkpoints)
        self.register_buffer("below", torch.ones(latent, latent).tril(-1), persistent=False)

    def whitening(self) -> Tensor:
        """The matrix A, (latent, latent)."""
        return self.rest * self.below + torch.diag(positive_std(self.raw))

    def whiten(self, z: Tensor) -> Tensor:
        """Latents (B, latent, positions) as u."""
        return self.whitening() @ (z - self.mean[:, None])

    def unwhiten(self, u: Tensor) -> Tensor:
        """The inverse of `whiten`."""
        return torch.linalg.solve_triangular(self.whitening(), u, upper=False) + self.mean[:, None]

    def kl(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.kl`. In closed form per coordinate of u: (B, latent * positions)."""
        a = self.whitening()
        with torch.autocast(z.device.type, enabled=False):
            u = self.whiten(mean.float())
            variance = a.square() @ std.square()
            nats = 0.5 * (u.square() + variance - 1) - torch.log(std) - torch.log(a.diagonal())[:, None]
        return nats.flatten(1)

    def sample(self, number: int, generator: torch.Generator, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.sample`."""
        noise = torch.randn(1, len(self.mean), number, generator=generator, device=generator.device)
        return self.unwhiten(noise.to(self.mean.device))[0].T.to(generator.device)


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


# Built from (config, latent dimensions, channels of the features at one position).
PRIORS: dict[str, Callable[..., Prior | None]] = {
    "standard": lambda config, latent, channels: None,  # nothing to learn; `losses.kl` computes the KL
    "normal": lambda config, latent, channels: LearnedNormal(latent),
    "mixture": Mixture,
    "vamp": Vamp,
}
