"""Principal components: the best linear code of a given size, and at size 0 the train mean."""

from math import prod

import torch
from torch import Tensor

from pipeline.models.bottlenecks.base import Bottleneck, Code, normal
from pipeline.models.config import LinearConfig


class Linear(Bottleneck):
    """The features' coordinates on orthonormal components, the widest first (PCA, Pearson 1901).

    What it draws from is one Gaussian for each coordinate, with the variance over the train windows.

    Args:
        config: its `latent` says how many components; at null it has none until they are set.
        shape: of the features, without the batch.
    """

    baseline = True
    mean: Tensor
    components: Tensor
    std: Tensor

    def __init__(self, config: LinearConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.limit = config.latent
        number, values = config.latent or 0, prod(shape)
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("components", torch.zeros(number, values))
        self.register_buffer("std", torch.zeros(number))
        self.latent_dims = number

    def set(self, mean: Tensor, components: Tensor, std: Tensor) -> None:
        """Take over a fit: mean (values,), orthonormal components (K, values), std (K,) of their coordinates."""
        self.mean, self.components, self.std = mean, components, std
        self.latent_dims = len(components)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        z = (features.flatten(1) - self.mean) @ self.components.T
        return Code(z, z)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        return (self.mean + z @ self.components).reshape(-1, *self.shape)

    def prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.prior`."""
        return normal(number, self.latent_dims, generator) * self.std.to(generator.device)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return self.std
