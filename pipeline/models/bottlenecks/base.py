"""The base class of bottlenecks, and the code that they produce."""

from abc import abstractmethod
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

PRIOR_STD_SAMPLES = 1000  # samples of a learned prior that estimate its standard deviation


@dataclass(frozen=True)
class Code:
    """A batch of windows in latent space."""

    z: Tensor  # (B, latent_dims), the input of the decoder
    mean: Tensor  # (B, latent_dims), the posterior mean
    std: Tensor | None = None  # (B, latent_dims) of a Gaussian posterior; None if the posterior is a point
    kl: Tensor | None = None  # (B, units) nats, for a codebook or a learned prior; None if the prior is standard normal
    level_sizes: tuple[int, ...] = ()  # latent dimensions of each level of a hierarchy, in their order
    indices: Tensor | None = None  # (B, positions) of the codes in the codebook; None without one
    penalties: dict[str, Tensor] = field(default_factory=dict)  # scalars that the loss block weights by name
    gain: Tensor | None = None  # (B, 1, 1) by which the waveform was divided; None without scaling


class Bottleneck(nn.Module):
    """Turns the encoder's features into a latent code, and a latent into features for the decoder.

    It owns the layers on both of its sides, so any bottleneck fits between any encoder and decoder. A new one needs a
    config class in `models/config.py` (a member of `BottleneckConfig`), an entry in `BOTTLENECKS`, and this class:

        class Point(Bottleneck):
            def __init__(self, config: PointConfig, shape: tuple[int, ...]) -> None:
                super().__init__()
                self.shape, self.latent_dims = shape, prod(shape)
            def encode(self, features, noise=None):
                z = features.flatten(1)
                return Code(z, z, kl=0.5 * z.square())
            def decode(self, z): return z.reshape(-1, *self.shape)
            def sample_prior(self, number, generator): return standard_normal(number, self.latent_dims, generator)
    """

    latent_dims: int  # numbers in the latent of a window
    levels: dict[str, int]  # name and latent dimensions of each level of a hierarchy, in their order
    frames: int = 1  # frames of a latent that is a sequence; 1 if it is a vector
    codebook_size: int | None = None  # number of codes; None without a codebook
    baseline: bool = False  # fitted in closed form: it has no KL and is never flagged as collapsed

    def __init__(self) -> None:
        super().__init__()
        self.levels = {}

    @abstractmethod
    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """The code of features (B, *shape).

        z is drawn from the posterior with `noise` (B, latent_dims), standard normal. Without noise, or if the posterior
        is a point, it is the posterior mean.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Features (B, *shape) for the decoder, from latents (B, latent_dims)."""

    @abstractmethod
    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """Latents (number, latent_dims) from the prior, on the generator's device."""

    def start_as_pca(self, std: Tensor) -> None:
        """Start as the identity on the first features, with this posterior std (features,); a codebook does not.

        Called once before a training if the features are the posterior means of `ProbabilisticPCA`.
        """

    def quantise(self, z: Tensor) -> Tensor:
        """The nearest latents that consist of codes; z itself without a codebook."""
        return z

    def by_frame(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) as (B, numbers, frames), in the order of time; a vector is one frame."""
        return z.reshape(len(z), -1, self.frames)

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


class Pointwise(nn.Linear):
    """A linear layer at each position: for a single one, twice as fast as a convolution with a kernel of 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, out_features, positions) of (B, in_features, positions)."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


@torch.no_grad()
def start_as_identity(layer: nn.Linear, offset: int = 0, raw: Tensor | None = None) -> None:
    """Let output i of a layer be its input i + `offset`. With `raw`, its last outputs are these constants."""
    number = layer.out_features - (0 if raw is None else len(raw))
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    layer.weight[:number].diagonal(offset).fill_(1)
    if raw is not None:
        layer.bias[number:] = raw


def layout_shape(layout: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, positions, frames) of features of `shape`, whose last axis is time; vector has one position."""
    return (prod(shape), 1, 1) if layout == "vector" else (shape[0], prod(shape[1:]), shape[-1])


def standard_normal(number: int, dims: int, generator: torch.Generator) -> Tensor:
    """(number, dims) standard normal numbers on the generator's device."""
    return torch.randn(number, dims, generator=generator, device=generator.device)
