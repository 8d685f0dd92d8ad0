"""How far a reconstruction is from its original: means over a window's values."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.losses import weighting
from pipeline.losses.config import ReconstructionConfig
from pipeline.models.signal import Signal

EPSILON = 0.01  # of log_magnitude: 0.8 dB of a mel's 80, so that values near the floor do not decide alone


def mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared error of each window of (B, 1, *shape)."""
    return _squared(reconstruction, target).flatten(1).mean(1)


def _squared(y: Tensor, x: Tensor) -> Tensor:
    return (y - x).square()


def _absolute(y: Tensor, x: Tensor) -> Tensor:
    return (y - x).abs()


def _cross_entropy(y: Tensor, x: Tensor, low: float) -> Tensor:
    """Binary cross-entropy less the target's own entropy, so that a perfect reconstruction scores 0.

    Both are mapped from [low, 1] to [0, 1], where `low` is 0 for mel and -1 for waveforms.
    """
    p, t = (((v - low) / (1 - low)).clamp(0, 1) for v in (y, x))
    entropy = torch.special.entr(t) + torch.special.entr(1 - t)
    return functional.binary_cross_entropy(p, t, reduction="none") - entropy


def _log_ratio(y: Tensor, x: Tensor) -> Tensor:
    """Absolute difference of the logarithms of values that are never negative (after system D)."""
    return ((y + EPSILON) / (x + EPSILON)).log().abs()


class Reconstruction(nn.Module):
    """The reconstruction distance of a variant: a distance of each value, weighted by its band, and their mean.

    Args:
        config: the block `reconstruction`.
        signal: what a window is.
    """

    weights: Tensor | None

    def __init__(self, config: ReconstructionConfig, signal: Signal) -> None:
        super().__init__()
        kinds: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "gaussian": _squared,
            "mse": _squared,
            "l1": _absolute,
            "bce": partial(_cross_entropy, low=signal.low),
            "log_magnitude": _log_ratio,
        }
        self.of_values = kinds[config.type]
        self.register_buffer("weights", weighting.make(config.weighting, signal), persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, *shape) each."""
        distance = self.of_values(reconstruction, target)
        if self.weights is not None:
            distance = distance * self.weights
        return distance.flatten(1).mean(1)
