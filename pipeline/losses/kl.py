"""The KL divergence of the posterior from the prior, and how its weight grows."""

from torch import Tensor

from pipeline.losses.config import KLConfig
from pipeline.models.bottlenecks import Code


def analytic(code: Code) -> Tensor:
    """(B, latent_dims) nats between two diagonal Gaussians, KL(q || p) (Kingma and Welling 2014, appendix B)."""
    assert code.std is not None and code.prior_mean is not None and code.prior_std is not None
    ratio = (code.std / code.prior_std).square()
    shift = ((code.mean - code.prior_mean) / code.prior_std).square()
    return 0.5 * (ratio + shift - 1 - ratio.log())


def monte_carlo(code: Code) -> Tensor:
    """(B, latent_dims) log q(z|x) - log p(z) at the drawn z: unbiased, and the estimator of system B."""
    assert code.std is not None and code.prior_mean is not None and code.prior_std is not None
    posterior = -0.5 * ((code.z - code.mean) / code.std).square() - code.std.log()
    prior = -0.5 * ((code.z - code.prior_mean) / code.prior_std).square() - code.prior_std.log()
    return posterior - prior


ESTIMATORS = {"analytic": analytic, "monte_carlo": monte_carlo}


def divergence(code: Code, estimator: str = "analytic") -> Tensor:
    """(B, units) nats: what the bottleneck says its code costs, or else the KL of its Gaussians by the estimator."""
    return ESTIMATORS[estimator](code) if code.rate is None else code.rate


def weight(config: KLConfig, progress: float) -> float:
    """The KL's weight when `progress` of the training (0 to 1) is done."""
    if config.schedule == "constant" or config.warmup == 0:
        return config.beta
    return config.beta * min(1.0, progress / config.warmup)
