"""The base class of quantisers: a code per position of the features, and a learned prior over the codes."""

from abc import abstractmethod
from math import prod

import torch
from torch import Tensor, nn

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.bottlenecks.code_prior import CodePrior


class Quantised(Bottleneck):
    """Projects the features to a vector per position and replaces each vector by a code (VQ-VAE, arXiv 1711.00937).

    The posterior is a point, so the KL is exact: -log p(codes) under the prior. The prior is trained at the same time,
    and its gradient does not reach the encoder. Positions are ordered by time, those of one frame side by side.
    """

    def __init__(self, dim: int, codebook_size: int, prior_width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *places, frames = shape
        self.channels, self.grid = channels, (frames, *places)
        self.dim, self.positions, self.codebook_size = dim, prod(self.grid), codebook_size
        self.latent_dims = dim * self.positions
        self.to_code = nn.Conv1d(channels, dim, 1)
        self.from_code = nn.Conv1d(dim, channels, 1)
        self.code_prior = CodePrior(codebook_size, dim, prod(places), prior_width)

    @abstractmethod
    def codes(self) -> Tensor:
        """The codebook, (codes, dim)."""

    @abstractmethod
    def look_up(self, vectors: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Codes (B, positions, dim) of vectors, with a gradient; their indices (B, positions); penalties."""

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`."""
        vectors = self.to_code(features.movedim(-1, 2).flatten(2)).movedim(1, 2)
        with torch.autocast(vectors.device.type, enabled=False):
            quantised, indices, penalties = self.look_up(vectors.float())
            kl = self.code_prior(indices, self.codes())
        z = quantised.movedim(2, 1).flatten(1)
        return Code(z, z, kl=kl, indices=indices, penalties=penalties)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        features: Tensor = self.from_code(z.reshape(len(z), self.dim, self.positions))
        return features.reshape(len(z), self.channels, *self.grid).movedim(2, -1)

    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.sample_prior`."""
        indices = self.code_prior.sample(number, self.positions, self.codes(), generator)
        return self.latents(indices.to(self.codes().device)).to(generator.device)

    def latents(self, indices: Tensor) -> Tensor:
        """Latents (B, latent_dims) of the codes at `indices` (B, positions)."""
        return self.codes()[indices].movedim(2, 1).flatten(1)

    def quantise(self, z: Tensor) -> Tensor:
        """See `Bottleneck.quantise`."""
        vectors = z.reshape(len(z), self.dim, self.positions).movedim(1, 2)
        return self.latents(torch.cdist(vectors, self.codes().expand(len(z), -1, -1)).argmin(-1))

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`: of the codebook, with equal weight for each code."""
        return self.codes().std(0, correction=0).repeat_interleave(self.positions)
