"""Learned priors of a Gaussian bottleneck: name -> class, built from (config, latent dimensions, feature channels)."""

from collections.abc import Callable

from pipeline.models.priors.base import Prior
from pipeline.models.priors.mixture import Mixture
from pipeline.models.priors.normal import LearnedNormal
from pipeline.models.priors.vamp import Vamp

PRIORS: dict[str, Callable[..., Prior]] = {
    "normal": lambda config, latent, channels: LearnedNormal(latent),
    "mixture": Mixture,
    "vamp": Vamp,
}

__all__ = ["PRIORS", "Prior"]
