"""What stands between encoder and decoder: name -> class, built from (config, shape of the features)."""

from collections.abc import Callable

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.bottlenecks.gaussian import Gaussian
from pipeline.models.bottlenecks.hierarchical import Hierarchical

BOTTLENECKS: dict[str, Callable[..., Bottleneck]] = {"gaussian": Gaussian, "hierarchical": Hierarchical}

__all__ = ["BOTTLENECKS", "Bottleneck", "Code"]
