"""Bottlenecks stand between encoder and decoder. The class of each type, built from (config, shape of the features)."""

from collections.abc import Callable

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.bottlenecks.fsq import FSQ
from pipeline.models.bottlenecks.gaussian import Gaussian
from pipeline.models.bottlenecks.hierarchical import Hierarchical
from pipeline.models.bottlenecks.linear import Linear
from pipeline.models.bottlenecks.vq import VQ

BOTTLENECKS: dict[str, Callable[..., Bottleneck]] = {
    "gaussian": Gaussian,
    "hierarchical": Hierarchical,
    "vq": VQ,
    "fsq": FSQ,
    "linear": Linear,
}

__all__ = ["BOTTLENECKS", "Bottleneck", "Code"]
