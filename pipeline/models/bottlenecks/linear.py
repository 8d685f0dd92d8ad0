"""Principal components (PCA, Pearson 1901): the baselines `pca` and, with no components, `mean`."""

from math import prod

import torch
from torch import Tensor

from pipeline.models.bottlenecks.base import Bottleneck, Code, standard_normal
from pipeline.models.config import LinearConfig


class Linear(Bottleneck):
    """Coordinates of the features on orthonormal components, in order of decreasing variance.

    The prior is an independent Gaussian per coordinate, with its variance over the train windows.
    """

    baseline = True
    mean: Tensor
    components: Tensor
    std: Tensor

    def __init__(self, config: LinearConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        number, values = config.latent, prod(shape)
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("components", torch.zeros(number, values))
        self.register_buffer("std", torch.zeros(number))
        self.latent_dims = number

    def set_components(self, mean: Tensor, components: Tensor, std: Tensor) -> None:
        """Set the fit: mean (values,), orthonormal components (K, values), std (K,) of the coordinates."""
        for buffer, value in ((self.mean, mean), (self.components, components), (self.std, std)):
            buffer.copy_(value)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        z = (features.flatten(1) - self.mean) @ self.components.T
        return Code(z, z)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        return (self.mean + z @ self.components).reshape(-1, *self.shape)

    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.sample_prior`."""
        return standard_normal(number, self.latent_dims, generator) * self.std.to(generator.device)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return self.std
