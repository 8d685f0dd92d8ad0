"""The contract of a bottleneck."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Code:
    """A batch of windows in latent space; every tensor is (B, latent_dims).

    `z` goes to the decoder; `mean` and `std` are the posterior's, `prior_mean` and `prior_std` the prior's.
    """

    z: Tensor
    mean: Tensor
    std: Tensor
    prior_mean: Tensor
    prior_std: Tensor


class Bottleneck(nn.Module):
    """From the encoder's features to a latent code, and from a latent to the decoder's features.

    It owns the layers on both of its sides, so that any bottleneck fits between any encoder and decoder.
    """

    latent_dims: int

    @abstractmethod
    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """Features (B, *shape) to a code.

        Args:
            features: (B, *shape) from the encoder.
            noise: (B, latent_dims) standard normal, to draw z from the posterior; without it z is its mean.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) to features (B, *shape) for the decoder."""

    @abstractmethod
    def prior(self, noise: Tensor) -> Tensor:
        """Latents drawn from the prior: (n, latent_dims) standard normal noise to z of the same shape."""
