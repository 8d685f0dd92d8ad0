"""The KL divergence of the posterior from the prior, and how its weight grows."""

import torch
from torch import Tensor

from pipeline.losses.config import KLConfig
from pipeline.models.bottlenecks import Code


def analytic(code: Code) -> Tensor:
    """(B, latent_dims) nats between two diagonal Gaussians, KL(q || p) (Kingma and Welling 2014, appendix B)."""
    ratio = (code.std / code.prior_std).square()
    shift = ((code.mean - code.prior_mean) / code.prior_std).square()
    return 0.5 * (ratio + shift - 1 - ratio.log())


def monte_carlo(code: Code) -> Tensor:
    """(B, latent_dims) log q(z|x) - log p(z) at the drawn z: unbiased, and the estimator of system B."""
    posterior = -0.5 * ((code.z - code.mean) / code.std).square() - code.std.log()
    prior = -0.5 * ((code.z - code.prior_mean) / code.prior_std).square() - code.prior_std.log()
    return posterior - prior


ESTIMATORS = {"analytic": analytic, "monte_carlo": monte_carlo}


def weight(config: KLConfig, progress: float) -> float:
    """The KL's weight when `progress` of the training (0 to 1) is done."""
    if config.schedule == "constant" or config.warmup == 0:
        return config.beta
    return config.beta * min(1.0, progress / config.warmup)


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions whose posterior mean varies over the data (Burda et al. 2016, arXiv 1509.00519).

    Args:
        means: (windows, latent_dims).
        threshold: variance above which a dimension is in use.
    """
    return int((torch.var(means, dim=0, correction=0) > threshold).sum())
