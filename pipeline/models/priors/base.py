"""The base class of learned priors."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]  # features (K, channels, 1) to mean and std, (K, latent, 1) each


class Prior(nn.Module):
    """A density over the latent vector of one position; a window with layout vector has one position.

    Each method gets the bottleneck's `posterior`, because a prior may consist of posteriors. A new prior needs a config
    class in `models/config.py` (a member of `PriorConfig`), an entry in `PRIORS`, and this class:

        class Standard(Prior):
            def __init__(self, config: StandardConfig, latent: int, channels: int) -> None:
                super().__init__()
                self.latent = latent
            def kl(self, z, mean, std, posterior): return 0.5 * (mean**2 + std**2 - 1 - 2 * std.log()).flatten(1)
            def sample(self, number, generator, posterior): return standard_normal(number, self.latent, generator)
    """

    @abstractmethod
    def kl(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior) -> Tensor:
        """(B, units) KL of the posterior from the prior in nats: exact, or an estimate at `z` without a closed form.

        Args:
            z: (B, latent, positions) drawn from the posterior.
            mean: (B, latent, positions) of the posterior.
            std: likewise.
            posterior: of the bottleneck.
        """

    @abstractmethod
    def sample(self, number: int, generator: torch.Generator, posterior: Posterior) -> Tensor:
        """(number, latent) samples on the generator's device. The generator alone determines them."""
