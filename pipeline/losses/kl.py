"""The KL divergence of the posterior from the prior, how its weight grows, and what of it is paid for."""

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.losses.config import KLConfig
from pipeline.models.bottlenecks import Code
from pipeline.models.gaussians import log_density

LEAST = 2e-5  # of beta, where the log schedule begins: RAVE v2 goes from 1e-6 to 5e-2
SMALL = 0.01  # nats per dimension that keep an empty level's weight above 0, so that it still pays something


def analytic(code: Code) -> Tensor:
    """(B, latent_dims) nats between two diagonal Gaussians, KL(q || p) (Kingma and Welling 2014, appendix B)."""
    assert code.std is not None and code.prior_mean is not None and code.prior_std is not None
    ratio = (code.std / code.prior_std).square()
    shift = ((code.mean - code.prior_mean) / code.prior_std).square()
    return 0.5 * (ratio + shift - 1 - ratio.log())


def monte_carlo(code: Code) -> Tensor:
    """(B, latent_dims) log q(z|x) - log p(z) at the drawn z: unbiased, and the estimator of system B."""
    assert code.std is not None and code.prior_mean is not None and code.prior_std is not None
    return log_density(code.z, code.mean, code.std) - log_density(code.z, code.prior_mean, code.prior_std)


ESTIMATORS = {"analytic": analytic, "monte_carlo": monte_carlo}


def divergence(code: Code, estimator: str = "analytic") -> Tensor:
    """(B, units) nats: what the bottleneck says its code costs, or else the KL of its Gaussians by the estimator."""
    return ESTIMATORS[estimator](code) if code.rate is None else code.rate


def weight(config: KLConfig, progress: float) -> float:
    """The KL's weight when `progress` of the training (0 to 1) is done; at 1 it is beta under every schedule.

    linear rises from 0, log from `LEAST` of beta by a constant factor per step (as RAVE v2 does), cyclical from 0 in
    each cycle's first half (Fu et al. 2019, arXiv 1903.10145).
    """
    if config.schedule == "constant" or progress >= 1:
        return config.beta
    if config.schedule == "cyclical":
        return config.beta * min(1.0, 2 * (progress * config.cycles % 1))
    share = warm(config, progress)
    return config.beta * (LEAST ** (1 - share) if config.schedule == "log" else share)


def warm(config: KLConfig, progress: float) -> float:
    """Share of the warm-up that is done, 0 to 1."""
    return 1.0 if progress >= config.warmup else progress / config.warmup


def cost(config: KLConfig, divergence: Tensor, sizes: tuple[int, ...], progress: float) -> Tensor:
    """What the KL adds to the loss, a scalar: free bits, capacity and balance applied, times the weight.

    The batch's means are those of the global batch, over all ranks.

    - free bits: below so many nats a dimension's or level's mean over the batch (Kingma et al. 2016, arXiv 1606.04934),
      or a window's total (MusicVAE, Roberts et al. 2018), has no gradient. They count as a floor.
    - capacity: the distance of the batch's mean from a target that grows to it (Burgess et al. 2018, arXiv 1804.03599).
    - balance: see `balanced`.

    Args:
        config: the loss block's `kl`.
        divergence: (B, units) nats.
        sizes: units of each level of a hierarchy; empty without one.
        progress: share of the training that is done, 0 to 1.
    """
    if config.balance and progress < config.warmup:
        divergence = balanced(divergence, sizes)
    if config.free_bits and config.free_bits_per == "dimension":
        nats = distributed.all_reduce_mean(divergence.mean(0)).clamp_min(config.free_bits).sum()
    elif config.free_bits and config.free_bits_per == "level":
        levels = [level.sum(1).mean() for level in divergence.split(sizes, dim=1)]
        nats = distributed.all_reduce_mean(torch.stack(levels)).clamp_min(config.free_bits).sum()
    else:
        window = divergence.sum(1)
        nats = (window.clamp_min(config.free_bits) if config.free_bits else window).mean()
    if config.capacity is not None:
        nats = (distributed.all_reduce_mean(nats) - config.capacity * warm(config, progress)).abs()
    return weight(config, progress) * nats


def balanced(divergence: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Each level weighted by its nats per dimension, so that an empty level fills before a full one grows.

    The weights have mean 1 over levels and no gradient (NVAE, Vahdat and Kautz 2020, arXiv 2007.03898, appendix A).
    """
    parts = divergence.split(sizes, dim=1)
    fullness = distributed.all_reduce_mean(torch.stack([part.detach().mean() for part in parts])).clamp_min(0) + SMALL
    weights = fullness / fullness.mean()
    return torch.cat([part * share for part, share in zip(parts, weights, strict=True)], dim=1)
