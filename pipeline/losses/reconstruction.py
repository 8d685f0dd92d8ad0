"""How far a reconstruction is from its original: means over a window's values."""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.losses.config import ReconstructionConfig
from pipeline.models.signal import Signal


def mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared error of each window of (B, 1, *shape)."""
    return (reconstruction - target).square().flatten(1).mean(1)


def l1(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean absolute error."""
    return (reconstruction - target).abs().flatten(1).mean(1)


def bce(reconstruction: Tensor, target: Tensor, low: float) -> Tensor:
    """(B,) mean binary cross-entropy less the target's own entropy, so that a perfect reconstruction scores 0.

    Both are mapped from [low, 1] to [0, 1], where `low` is 0 for mel and -1 for waveforms.
    """
    p, t = ((v - low) / (1 - low) for v in (reconstruction, target))
    p, t = p.clamp(0, 1), t.clamp(0, 1)
    entropy = torch.special.entr(t) + torch.special.entr(1 - t)
    return (functional.binary_cross_entropy(p, t, reduction="none") - entropy).flatten(1).mean(1)


def make(config: ReconstructionConfig, signal: Signal):  # type: ignore[no-untyped-def]
    """The reconstruction distance of a variant: (reconstruction, target), both (B, 1, *shape), to (B,)."""
    distances = {"gaussian": mse, "mse": mse, "l1": l1, "bce": lambda y, x: bce(y, x, signal.low)}
    return distances[config.type]
