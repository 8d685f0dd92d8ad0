"""The contract of a bottleneck."""

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

DRAWS = 1000  # from a learned prior, to estimate its standard deviation


@dataclass(frozen=True)
class Code:
    """A batch of windows in latent space.

    Attributes:
        z: (B, latent_dims), what the decoder gets.
        mean: (B, latent_dims), the latent that stands for the window when nothing is drawn.
        std: (B, latent_dims) of a Gaussian posterior; None where the posterior is a point.
        prior_mean: (B, latent_dims) of a Gaussian prior; None where it is not one.
        prior_std: likewise.
        rate: (B, units) nats that the code costs under the prior, where the bottleneck alone knows them: the codes of a
            quantiser, or log q(z|x) - log p(z) under a prior that is no Gaussian. The losses take it as the KL.
        sizes: of the levels of a hierarchy, in the order in which they stand in the latent; empty without one.
        indices: (B, positions) of codes in the codebook; None where there is none.
        penalties: scalars that the loss block weighs by name, such as "commitment".
        level: (B, 1, 1) by which the waveform was divided, and its reconstruction is multiplied; None without scaling.
    """

    z: Tensor
    mean: Tensor
    std: Tensor | None = None
    prior_mean: Tensor | None = None
    prior_std: Tensor | None = None
    rate: Tensor | None = None
    sizes: tuple[int, ...] = ()
    indices: Tensor | None = None
    penalties: dict[str, Tensor] = field(default_factory=dict)
    level: Tensor | None = None


class Bottleneck(nn.Module):
    """From the encoder's features to a latent code, and from a latent to the decoder's features.

    It owns the layers on both of its sides, so that any bottleneck fits between any encoder and decoder. It is built
    from (config, shape of the features without the batch).

    Attributes:
        latent_dims: numbers in the latent code of a window.
        levels: name and size of the parts of the latent, where it has several, in their order.
        codebook: number of codes; None where nothing is quantised.
        baseline: fitted in closed form, as a reference for the others: it has no KL, and no sign of collapse applies.
    """

    latent_dims: int
    levels: dict[str, int]
    codebook: int | None = None
    baseline: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.levels = {}

    @abstractmethod
    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """Features (B, *shape) to a code.

        Args:
            features: (B, *shape) from the encoder.
            noise: (B, latent_dims) standard normal, to draw z from the posterior; without it z is its mean. A
                posterior that is a point ignores it.
        """

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) to features (B, *shape) for the decoder."""

    @abstractmethod
    def prior(self, number: int, generator: torch.Generator) -> Tensor:
        """`number` latents (number, latent_dims) drawn from the prior, on the generator's device."""

    def quantise(self, z: Tensor) -> Tensor:
        """The nearest latents that the prior can give; z itself, unless it is quantised."""
        return z

    def whiten(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) in coordinates in which the prior is standard normal, as far as it is a Gaussian."""
        return z

    def colour(self, u: Tensor) -> Tensor:
        """Back from `whiten`'s coordinates."""
        return u

    def latent_std(self) -> Tensor:
        """Standard deviation of the latents over the data, (latent_dims,) or a scalar: what a perturbation scales."""
        return torch.ones(())

    @torch.no_grad()
    def prior_std(self) -> Tensor:
        """(latent_dims,) standard deviation of draws from the prior: the spread where a prior is learned."""
        drawn = self.prior(DRAWS, torch.Generator().manual_seed(0))
        return drawn.std(0).to(next(self.parameters()).device)


def normal(number: int, dims: int, generator: torch.Generator) -> Tensor:
    """(number, dims) standard normal numbers on the generator's device."""
    return torch.randn(number, dims, generator=generator, device=generator.device)
