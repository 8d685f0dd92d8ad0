"""The base class of bottlenecks, and the code that they produce."""

from abc import abstractmethod
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

PRIOR_STD_SAMPLES = 1000  # from a learned prior, to estimate its standard deviation


@dataclass(frozen=True)
class Code:
    """A batch of windows in latent space.

    Attributes:
        z: (B, latent_dims), the input of the decoder.
        mean: (B, latent_dims), the posterior mean.
        std: (B, latent_dims) of a Gaussian posterior; None if the posterior is a point.
        prior_mean: (B, latent_dims) of a Gaussian prior; None if the bottleneck itself computes the KL.
        prior_std: likewise.
        kl: (B, units) nats, if the bottleneck itself computes the KL: codes of a quantiser, or a learned prior.
        level_sizes: latent dimensions of each level of a hierarchy, in their order; empty without one.
        indices: (B, positions) of the codes in the codebook; None without one.
        penalties: scalars that the loss block weights by name, such as "commitment".
        gain: (B, 1, 1) by which the waveform was divided; None without scaling.
    """

    z: Tensor
    mean: Tensor
    std: Tensor | None = None
    prior_mean: Tensor | None = None
    prior_std: Tensor | None = None
    kl: Tensor | None = None
    level_sizes: tuple[int, ...] = ()
    indices: Tensor | None = None
    penalties: dict[str, Tensor] = field(default_factory=dict)
    gain: Tensor | None = None


class Bottleneck(nn.Module):
    """Turns the encoder's features into a latent code, and a latent into features for the decoder.

    It owns the layers on both of its sides, so any bottleneck fits between any encoder and decoder. A new one needs a
    config class in `models/config.py` (a member of `BottleneckConfig`), an entry in `BOTTLENECKS`, and this class:

        class Point(Bottleneck):
            def __init__(self, config: PointConfig, shape: tuple[int, ...]) -> None:
                super().__init__()
                self.shape, self.latent_dims = shape, prod(shape)
            def encode(self, features, noise=None): return Code(features.flatten(1), features.flatten(1))
            def decode(self, z): return z.reshape(-1, *self.shape)
            def sample_prior(self, number, generator): return standard_normal(number, self.latent_dims, generator)

    Attributes:
        latent_dims: numbers in the latent of a window.
        levels: name and latent dimensions of each level of a hierarchy, in their order; empty without one.
        codebook_size: number of codes; None without a codebook.
        baseline: whether it is fitted in closed form. A baseline has no KL and is never flagged as collapsed.
    """

    latent_dims: int
    levels: dict[str, int]
    codebook_size: int | None = None
    baseline: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.levels = {}

    @abstractmethod
    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """The code of features (B, *shape).

        Args:
            features: from the encoder.
            noise: (B, latent_dims) standard normal, to draw z from the posterior. Without it z is the posterior mean. A
                point posterior ignores it.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Features (B, *shape) for the decoder, from latents (B, latent_dims)."""

    @abstractmethod
    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """Latents (number, latent_dims) from the prior, on the generator's device."""

    def quantise(self, z: Tensor) -> Tensor:
        """The nearest latents that consist of codes; z itself without a codebook."""
        return z

    def whiten(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) in coordinates in which a Gaussian prior is standard normal."""
        return z

    def unwhiten(self, u: Tensor) -> Tensor:
        """The inverse of `whiten`."""
        return u

    def latent_std(self) -> Tensor:
        """Standard deviation of the latents over the data, (latent_dims,) or a scalar."""
        return torch.ones(())

    @torch.no_grad()
    def prior_std(self) -> Tensor:
        """(latent_dims,) standard deviation of samples from the prior."""
        z = self.sample_prior(PRIOR_STD_SAMPLES, torch.Generator().manual_seed(0))
        return z.std(0).to(next(self.parameters()).device)


def layout_shape(layout: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """(channels, positions) to which a layout flattens features of `shape`: vector has one position per window."""
    return (prod(shape), 1) if layout == "vector" else (shape[0], prod(shape[1:]))


def standard_normal(number: int, dims: int, generator: torch.Generator) -> Tensor:
    """(number, dims) standard normal numbers on the generator's device."""
    return torch.randn(number, dims, generator=generator, device=generator.device)
