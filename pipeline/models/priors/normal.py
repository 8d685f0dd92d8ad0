"""A Gaussian prior with a learned mean and covariance."""

import torch
from torch import Tensor, nn

from pipeline.models.gaussians import RAW_ONE, positive_std
from pipeline.models.priors.base import Posterior, Prior


class LearnedNormal(Prior):
    """Standard normal in the coordinates u = A (z - mean), with a lower triangular A that starts as the identity.

    A standard normal prior and a linear layer can express the same. But this prior follows the scale and the
    correlations of the posterior means from the first steps, so its samples lie where the decoder was trained.
    """

    below: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(latent))
        self.raw = nn.Parameter(torch.full((latent,), RAW_ONE))  # the diagonal of A, before softplus
        self.rest = nn.Parameter(torch.zeros(latent, latent))  # A below the diagonal
        self.register_buffer("below", torch.ones(latent, latent).tril(-1), persistent=False)

    def whitening(self) -> Tensor:
        """The matrix A, (latent, latent)."""
        return self.rest * self.below + torch.diag(positive_std(self.raw))

    def whiten(self, z: Tensor) -> Tensor:
        """Latents (B, latent, positions) as u."""
        return self.whitening() @ (z - self.mean[:, None])

    def unwhiten(self, u: Tensor) -> Tensor:
        """The inverse of `whiten`."""
        return torch.linalg.solve_triangular(self.whitening(), u, upper=False) + self.mean[:, None]

    def kl(self, z: Tensor, mean: Tensor, std: Tensor, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.kl`. In closed form per coordinate of u: (B, latent * positions)."""
        a = self.whitening()
        with torch.autocast(z.device.type, enabled=False):
            u = self.whiten(mean.float())
            variance = a.square() @ std.square()
            nats = 0.5 * (u.square() + variance - 1) - torch.log(std) - torch.log(a.diagonal())[:, None]
        return nats.flatten(1)

    def sample(self, number: int, generator: torch.Generator, posterior: Posterior | None = None) -> Tensor:
        """See `Prior.sample`."""
        noise = torch.randn(1, len(self.mean), number, generator=generator, device=generator.device)
        return self.unwhiten(noise.to(self.mean.device))[0].T.to(generator.device)
