"""What stands between encoder and decoder: name -> class, built from (config, shape of the features)."""

from collections.abc import Callable

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.bottlenecks.gaussian import Gaussian

BOTTLENECKS: dict[str, Callable[..., Bottleneck]] = {"gaussian": Gaussian}

__all__ = ["BOTTLENECKS", "Bottleneck", "Code"]
