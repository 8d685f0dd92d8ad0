"""A Gaussian prior with a learned mean and covariance."""

import torch
from torch import Tensor, nn

from pipeline.models.gaussians import UNIT, deviation
from pipeline.models.priors.base import Posterior, Prior


class LearnedNormal(Prior):
    """Standard normal in the coordinates u = A (z - mean), with A lower triangular; the identity to begin with.

    It can be no more than a standard normal after a linear layer could, but follows the scale and the correlations of
    the posterior means from the first steps on, so that draws lie where the decoder has learnt.
    """

    below: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent))
        self.raw = nn.Parameter(torch.full((latent,), UNIT))  # of the diagonal
        self.rest = nn.Parameter(torch.zeros(latent, latent))
        self.register_buffer("below", torch.ones(latent, latent).tril(-1), persistent=False)

    def whitening(self) -> Tensor:
        """A, (latent, latent)."""
        return self.rest * self.below + torch.diag(deviation(self.raw))

    def whiten(self, z: Tensor) -> Tensor:
        """(B, latent, positions) as u."""
        return self.whitening() @ (z - self.mean[:, None])

    def colour(self, u: Tensor) -> Tensor:
        """Back from `whiten`."""
        return torch.linalg.solve_triangular(self.whitening(), u, upper=False) + self.mean[:, None]

    def rate(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.rate`; in closed form, for each coordinate of u: (B, latent * positions)."""
        a = self.whitening()
        with torch.autocast(z.device.type, enabled=False):
            u = self.whiten(mean.float())
            spread = a.square() @ std.square()
            nats = 0.5 * (u.square() + spread - 1) - torch.log(std) - torch.log(a.diagonal())[:, None]
        return nats.flatten(1)

    def draw(self, number: int, generator: torch.Generator, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.draw`."""
        noise = torch.randn(1, len(self.mean), number, generator=generator, device=generator.device)
        return self.colour(noise.to(self.mean.device))[0].T.to(generator.device)
