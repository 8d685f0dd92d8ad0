"""What stands between encoder and decoder: name -> class, built from (config, shape of the features)."""

from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.bottlenecks.gaussian import Gaussian

BOTTLENECKS: dict[str, type[Bottleneck]] = {"gaussian": Gaussian}

__all__ = ["BOTTLENECKS", "Bottleneck", "Code"]
