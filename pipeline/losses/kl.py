"""The KL divergence of the posterior from the prior, and its contribution to the loss."""

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.losses.config import KLConfig
from pipeline.models.bottlenecks import Code
from pipeline.models.priors import log_density

LOG_START = 2e-5  # share of beta at which the log schedule starts: RAVE v2 goes from 1e-6 to 5e-2
BALANCE_FLOOR = 0.01  # nats per dimension, so that the weight of an empty level stays above 0


def analytic(code: Code) -> Tensor:
    """(B, latent_dims) KL of a Gaussian from a standard normal, in nats (Kingma and Welling 2014, appendix B)."""
    assert code.std is not None
    variance = code.std.square()
    return 0.5 * (variance + code.mean.to(code.std).square() - 1 - variance.log())  # autocast may give a bf16 mean


def monte_carlo(code: Code) -> Tensor:
    """(B, latent_dims) unbiased estimate log q(z|x) - log p(z) at the drawn z, in nats (system B)."""
    assert code.std is not None
    prior = log_density(code.z, torch.zeros_like(code.std), torch.ones_like(code.std))
    return log_density(code.z, code.mean, code.std) - prior


ESTIMATORS = {"analytic": analytic, "monte_carlo": monte_carlo}


def divergence(code: Code, estimator: str = "analytic") -> Tensor:
    """(B, units) KL in nats: computed by the bottleneck, or by the estimator for a standard normal prior."""
    return ESTIMATORS[estimator](code) if code.kl is None else code.kl


def weight_at(config: KLConfig, progress: float) -> float:
    """The weight of the KL at a share of the training, 0 to 1. At 1 it is beta under every schedule.

    linear rises from 0; log from `LOG_START` of beta by a constant factor per step (as in RAVE v2); cyclical from 0 in
    the first half of each cycle (Fu et al. 2019, arXiv 1903.10145).
    """
    if config.schedule == "constant" or progress >= 1:
        return config.beta
    if config.schedule == "cyclical":
        return config.beta * min(1.0, 2 * (progress * config.cycles % 1))
    share = warmup_progress(config, progress)
    return config.beta * (LOG_START ** (1 - share) if config.schedule == "log" else share)


def warmup_progress(config: KLConfig, progress: float) -> float:
    """Share of the warm-up that is done, 0 to 1."""
    return 1.0 if progress >= config.warmup else progress / config.warmup


def loss_term(config: KLConfig, divergence: Tensor, level_sizes: tuple[int, ...], progress: float) -> Tensor:
    """The KL's contribution to the loss, a scalar. Means are over the global batch.

    - Free nats ("free bits" in the papers) are a floor with no gradient below: of a dimension's or level's mean over
      the batch (Kingma et al. 2016, arXiv 1606.04934), or of a window's total (MusicVAE, Roberts et al. 2018, whose 48
      bits are 33.3 nats).
    - Capacity replaces the KL by the distance of its mean from a target (Burgess et al. 2018, arXiv 1804.03599).
    - Balance: see `balance_levels`.

    `divergence` is (B, units) nats, `level_sizes` the units of each level of a hierarchy, `progress` in [0, 1].
    """
    if config.balance and progress < config.warmup:
        divergence = balance_levels(divergence, level_sizes)
    if config.free_nats and config.free_nats_per == "dimension":
        nats = distributed.all_reduce_mean(divergence.mean(0)).clamp_min(config.free_nats).sum()
    elif config.free_nats and config.free_nats_per == "level":
        levels = [level.sum(1).mean() for level in divergence.split(level_sizes, dim=1)]
        nats = distributed.all_reduce_mean(torch.stack(levels)).clamp_min(config.free_nats).sum()
    else:
        totals = divergence.sum(1)
        nats = (totals.clamp_min(config.free_nats) if config.free_nats else totals).mean()
    if config.capacity is not None:
        nats = (distributed.all_reduce_mean(nats) - config.capacity * warmup_progress(config, progress)).abs()
    return weight_at(config, progress) * nats


def balance_levels(divergence: Tensor, level_sizes: tuple[int, ...]) -> Tensor:
    """Weights each level by its nats per dimension, so that an empty level fills before a full one grows.

    The weights have mean 1 over levels and no gradient (NVAE, Vahdat and Kautz 2020, arXiv 2007.03898, appendix A).
    """
    parts = divergence.split(level_sizes, dim=1)
    means = distributed.all_reduce_mean(torch.stack([part.detach().mean() for part in parts]))
    weights = means.clamp_min(0) + BALANCE_FLOOR
    weights = weights / weights.mean()
    return torch.cat([part * weight for part, weight in zip(parts, weights, strict=True)], dim=1)
