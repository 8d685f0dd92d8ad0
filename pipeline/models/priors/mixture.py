"""Mixture of Gaussians whose weights, means and standard deviations are learned."""

import torch
from torch import Tensor, nn

from pipeline.models.config import MixtureConfig
from pipeline.models.gaussians import UNIT, deviation
from pipeline.models.priors.base import GaussianMixture, Posterior

SPREAD = 0.5  # of the means at the start: enough to tell the parts apart, all within a standard normal's reach


class Mixture(GaussianMixture):
    """Parts of equal weight and standard deviation 1 to begin with."""

    def __init__(self, config: MixtureConfig, latent: int, channels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(config.components))
        self.mean = nn.Parameter(SPREAD * torch.randn(config.components, latent))
        self.raw = nn.Parameter(torch.full((config.components, latent), UNIT))

    def parts(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """See `GaussianMixture.parts`."""
        return self.logits.log_softmax(0), self.mean, deviation(self.raw)
