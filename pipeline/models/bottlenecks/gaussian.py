"""Gaussian posterior, standard normal prior (Kingma and Welling 2014, arXiv 1312.6114)."""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.bottlenecks.base import Bottleneck, Code, normal
from pipeline.models.config import GaussianConfig

MIN_STD = 1e-4


class Gaussian(Bottleneck):
    """One latent vector for a window (layout vector), or one for each position of the features (layout sequence).

    The posterior's standard deviation is softplus(s) + 1e-4: a bare exp can overflow. It starts near 1.
    """

    def __init__(self, config: GaussianConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        channels, positions = (prod(shape), 1) if config.layout == "vector" else (shape[0], prod(shape[1:]))
        self.flat = (channels, positions)
        self.latent_dims = config.latent * positions
        self.to_posterior = nn.Conv1d(channels, 2 * config.latent, 1)
        self.from_latent = nn.Conv1d(config.latent, channels, 1)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        mean, raw = self.to_posterior(features.reshape(-1, *self.flat)).chunk(2, dim=1)
        mean, std = mean.flatten(1), (functional.softplus(raw) + MIN_STD).flatten(1)
        z = mean if noise is None else mean + std * noise
        return Code(z, mean, std, torch.zeros_like(mean), torch.ones_like(std))

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        features: Tensor = self.from_latent(z.reshape(len(z), -1, self.flat[1]))
        return features.reshape(-1, *self.shape)

    def prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.prior`."""
        return normal(number, self.latent_dims, generator)
