"""VampPrior (Tomczak and Welling 2018, arXiv 1705.07120): the mean of the posteriors of learned pseudo-inputs."""

from math import log

import torch
from torch import Tensor, nn

from pipeline.models.config import VampConfig
from pipeline.models.priors.base import GaussianMixture, Posterior


class Vamp(GaussianMixture):
    """Parts of equal weight.

    The pseudo-inputs are features, not windows as in the paper: the bottleneck knows no encoder, and its layer alone is
    run on them.
    """

    def __init__(self, config: VampConfig, latent: int, channels: int) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(config.pseudo_inputs, channels))

    def parts(self, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """See `GaussianMixture.parts`."""
        mean, std = (part.squeeze(2) for part in posterior(self.inputs[..., None]))
        return mean.new_full((len(mean),), -log(len(mean))), mean, std
