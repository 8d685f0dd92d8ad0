"""Two levels of Gaussians with a learned prior between them (system C; NVAE, Vahdat and Kautz 2020, arXiv 2007.03898).

z2 describes the window as a whole; z1 adds details, under the prior p(z1|z2). Each level has a learned normal prior;
z2 shifts and scales the prior of z1.
"""

from math import prod
from typing import TypeVar

import torch
from torch import Tensor, nn

from pipeline.models.bottlenecks.base import Bottleneck, Code, Pointwise, layout_shape, start_as_identity
from pipeline.models.config import HierarchicalConfig
from pipeline.models.priors import RAW_ONE, LearnedNormal, positive_std, raw_std

Layer = TypeVar("Layer", bound=nn.Linear)
WIDTH = 128  # hidden width of p(z1|z2)


def _zero(layer: Layer) -> Layer:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Hierarchical(Bottleneck):
    """Latents z = (z2, z1). The decoder gets both.

    q(z1|z2,x) is a residual on p(z1|z2): its mean is the prior mean plus a shift, its standard deviation the prior's
    times a factor. The last layers of both start at zero, so at first z1 has a KL of 0 and p(z1|z2) is standard normal.
    """

    def __init__(self, config: HierarchicalConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.channels, self.positions, self.frames = layout_shape(config.layout, shape)
        upper, lower = config.latent_z2, config.latent_z1 * self.positions
        self.levels = {"z2": upper, "z1": lower}
        self.level_sizes = (upper, lower)
        self.latent_dims = upper + lower
        self.prior_z2, self.prior_z1 = LearnedNormal(upper), LearnedNormal(config.latent_z1)
        self.to_z2 = nn.Linear(prod(shape), 2 * upper)
        self.to_prior = nn.Sequential(nn.Linear(upper, WIDTH), nn.SiLU(), _zero(nn.Linear(WIDTH, 2 * lower)))
        self.to_z1 = _zero(Pointwise(self.channels, 2 * config.latent_z1))
        self.from_z2_to_z1 = _zero(nn.Linear(upper, 2 * lower, bias=False))
        self.from_z2 = nn.Linear(upper, prod(shape))
        self.from_z1 = Pointwise(config.latent_z1, self.channels)

    def start_as_pca(self, std: Tensor) -> None:
        """See `Bottleneck.start_as_pca`: z2 starts with the first features, z1 with those that follow."""
        upper, lower = self.level_sizes
        start_as_identity(self.to_z2, raw=raw_std(std[:upper]))
        start_as_identity(self.to_z1, upper, raw_std(std[upper : upper + lower]) - RAW_ONE)
        start_as_identity(self.from_z2)
        start_as_identity(self.from_z1, -upper)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`. Without noise, the prior of z1 is p(z1|z2) at the mean of z2."""
        mean2, raw = self.to_z2(features.flatten(1)).chunk(2, dim=1)
        std2 = positive_std(raw)
        noise2, noise1 = (0.0, 0.0) if noise is None else noise.split(self.level_sizes, dim=1)
        z2 = mean2 + std2 * noise2
        prior_mean, prior_std = self.lower_prior(z2)
        residual = self.to_z1(features.reshape(-1, self.channels, self.positions)).flatten(1) + self.from_z2_to_z1(z2)
        # In units of the prior's standard deviation, so that the scale of the prior does not matter.
        shift, raw = residual.chunk(2, dim=1)
        factor = positive_std(raw + RAW_ONE)
        drawn = shift + factor * noise1
        z = torch.cat((z2, prior_mean + prior_std * drawn), dim=1)
        mean = torch.cat((mean2, prior_mean + prior_std * shift), dim=1)
        std = torch.cat((std2, prior_std * factor), dim=1)
        kl2 = self.prior_z2.kl(z2[..., None], mean2[..., None], std2[..., None])
        kl1 = self.prior_z1.kl(*(part.unflatten(1, (-1, self.positions)) for part in (drawn, shift, factor)))
        return Code(z, mean, std, kl=torch.cat((kl2, kl1), dim=1), level_sizes=self.level_sizes)

    def lower_prior(self, z2: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale of p(z1|z2) relative to the learned prior of z1, each (B, size of z1)."""
        mean, raw = self.to_prior(z2).chunk(2, dim=1)
        return mean, positive_std(raw + RAW_ONE)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        z2, z1 = z.split(self.level_sizes, dim=1)
        lower: Tensor = self.from_z1(z1.reshape(len(z), -1, self.positions))
        return lower.reshape(-1, *self.shape) + self.from_z2(z2).reshape(-1, *self.shape)

    def sample_prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.sample_prior`."""
        z2 = self.prior_z2.sample(number, generator)
        z1 = self.prior_z1.sample(number * self.positions, generator)
        z1 = z1.reshape(number, self.positions, -1).transpose(1, 2).flatten(1)
        mean, std = (part.to(z2.device) for part in self.lower_prior(z2.to(self.from_z2.weight.device)))
        return torch.cat((z2, mean + std * z1), dim=1)

    def by_frame(self, z: Tensor) -> Tensor:
        """See `Bottleneck.by_frame`; each frame has the whole z2."""
        z2, z1 = z.split(self.level_sizes, dim=1)
        return torch.cat((z2[..., None].expand(-1, -1, self.frames), super().by_frame(z1)), dim=1)

    def whiten(self, z: Tensor) -> Tensor:
        """See `Bottleneck.whiten`; for z1 relative to the prior p(z1|z2) of its z2."""
        z2, z1 = z.split(self.level_sizes, dim=1)
        mean, std = self.lower_prior(z2)
        z1 = ((z1 - mean) / std).unflatten(1, (-1, self.positions))
        return torch.cat((self.prior_z2.whiten(z2[..., None])[..., 0], self.prior_z1.whiten(z1).flatten(1)), dim=1)

    def unwhiten(self, u: Tensor) -> Tensor:
        """See `Bottleneck.unwhiten`."""
        u2, u1 = u.split(self.level_sizes, dim=1)
        z2 = self.prior_z2.unwhiten(u2[..., None])[..., 0]
        mean, std = self.lower_prior(z2)
        z1 = self.prior_z1.unwhiten(u1.unflatten(1, (-1, self.positions))).flatten(1)
        return torch.cat((z2, mean + std * z1), dim=1)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return self.prior_std()
