"""Two levels of Gaussians with a learned prior between them (system C; NVAE, Vahdat and Kautz 2020, arXiv 2007.03898).

z2 stands for the window as a whole; z1 adds what z2 left out, under p(z1|z2). Both have a learned normal prior of their
own, that of z1 moved and scaled by what z2 says.
"""

from math import prod

import torch
from torch import Tensor, nn

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.config import HierarchicalConfig
from pipeline.models.gaussians import UNIT, deviation
from pipeline.models.priors.normal import LearnedNormal

WIDTH = 128  # of the hidden layer of p(z1|z2)


def _zero(layer: nn.Linear | nn.Conv1d) -> nn.Module:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Hierarchical(Bottleneck):
    """Latents z = (z2, z1), both of which reach the decoder.

    q(z1|z2,x) is a residual on p(z1|z2): its mean is the prior's plus a shift, its standard deviation the prior's times
    a factor. Both come of layers that begin with zeros, so z1 costs nothing at first, and p(z1|z2) is standard normal.
    """

    def __init__(self, config: HierarchicalConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        channels, positions = (prod(shape), 1) if config.layout == "vector" else (shape[0], prod(shape[1:]))
        self.flat = (channels, positions)
        upper, lower = config.latent_z2, config.latent_z1 * positions
        self.levels = {"z2": upper, "z1": lower}
        self.sizes = (upper, lower)
        self.latent_dims = upper + lower
        self.prior_z2, self.prior_z1 = LearnedNormal(upper), LearnedNormal(config.latent_z1)
        self.to_z2 = nn.Linear(prod(shape), 2 * upper)
        self.to_prior = nn.Sequential(nn.Linear(upper, WIDTH), nn.SiLU(), _zero(nn.Linear(WIDTH, 2 * lower)))
        self.to_z1 = _zero(nn.Conv1d(channels, 2 * config.latent_z1, 1))
        self.from_z2_to_z1 = _zero(nn.Linear(upper, 2 * lower, bias=False))  # the other half of q's input
        self.from_z2 = nn.Linear(upper, prod(shape))
        self.from_z1 = nn.Conv1d(config.latent_z1, channels, 1)

    def encode(self, features: Tensor, noise: Tensor | None = None) -> Code:
        """See `Bottleneck.encode`; without noise the prior of z1 is that of z2's mean."""
        mean2, raw = self.to_z2(features.flatten(1)).chunk(2, dim=1)
        std2 = deviation(raw)
        noise2, noise1 = (0.0, 0.0) if noise is None else noise.split(self.sizes, dim=1)
        z2 = mean2 + std2 * noise2
        prior_mean, prior_std = self.lower_prior(z2)
        residual = self.to_z1(features.reshape(-1, *self.flat)).flatten(1) + self.from_z2_to_z1(z2)
        # In units of the prior's deviation, so that both are of the same size whatever the prior has learnt.
        shift, raw = residual.chunk(2, dim=1)
        factor = deviation(raw + UNIT)
        drawn = shift + factor * noise1
        z = torch.cat((z2, prior_mean + prior_std * drawn), dim=1)
        mean = torch.cat((mean2, prior_mean + prior_std * shift), dim=1)
        std = torch.cat((std2, prior_std * factor), dim=1)
        rate2 = self.prior_z2.rate(z2[..., None], mean2[..., None], std2[..., None])
        drawn, shift, factor = (part.unflatten(1, (-1, self.flat[1])) for part in (drawn, shift, factor))
        rate1 = self.prior_z1.rate(drawn, shift, factor)
        return Code(z, mean, std, rate=torch.cat((rate2, rate1), dim=1), sizes=self.sizes)

    def lower_prior(self, z2: Tensor) -> tuple[Tensor, Tensor]:
        """What p(z1|z2) adds to and multiplies z1's own prior by, each as large as z1."""
        mean, raw = self.to_prior(z2).chunk(2, dim=1)
        return mean, deviation(raw + UNIT)

    def decode(self, z: Tensor) -> Tensor:
        """See `Bottleneck.decode`."""
        z2, z1 = z.split(self.sizes, dim=1)
        lower: Tensor = self.from_z1(z1.reshape(len(z), -1, self.flat[1]))
        return lower.reshape(-1, *self.shape) + self.from_z2(z2).reshape(-1, *self.shape)

    def prior(self, number: int, generator: torch.Generator) -> Tensor:
        """See `Bottleneck.prior`."""
        z2 = self.prior_z2.draw(number, generator)
        drawn = self.prior_z1.draw(number * self.flat[1], generator)
        drawn = drawn.reshape(number, self.flat[1], -1).transpose(1, 2).flatten(1)
        mean, std = (part.to(z2.device) for part in self.lower_prior(z2.to(self.from_z2.weight.device)))
        return torch.cat((z2, mean + std * drawn), dim=1)

    def whiten(self, z: Tensor) -> Tensor:
        """See `Bottleneck.whiten`: of z1, what it adds to the prior that its z2 gives."""
        z2, z1 = z.split(self.sizes, dim=1)
        mean, std = self.lower_prior(z2)
        own = ((z1 - mean) / std).unflatten(1, (-1, self.flat[1]))
        return torch.cat((self.prior_z2.whiten(z2[..., None])[..., 0], self.prior_z1.whiten(own).flatten(1)), dim=1)

    def colour(self, u: Tensor) -> Tensor:
        """See `Bottleneck.colour`."""
        upper, lower = u.split(self.sizes, dim=1)
        z2 = self.prior_z2.colour(upper[..., None])[..., 0]
        mean, std = self.lower_prior(z2)
        own = self.prior_z1.colour(lower.unflatten(1, (-1, self.flat[1]))).flatten(1)
        return torch.cat((z2, mean + std * own), dim=1)

    def latent_std(self) -> Tensor:
        """See `Bottleneck.latent_std`."""
        return self.prior_std()
