"""Learned priors of the Gaussian bottleneck: the class of each type, built from (config, latent dimensions, channels).

`channels` are those of the features at one position.
"""

from collections.abc import Callable

from pipeline.models.priors.base import Prior
from pipeline.models.priors.mixture import Mixture, Vamp
from pipeline.models.priors.normal import LearnedNormal

PRIORS: dict[str, Callable[..., Prior]] = {
    "normal": lambda config, latent, channels: LearnedNormal(latent),
    "mixture": Mixture,
    "vamp": Vamp,
}

__all__ = ["PRIORS", "Prior"]
