"""How far a reconstruction is from its original, per window and in nats.

`distance` is a mean over a window's values, `nats` the negative log-likelihood of the whole window that it stands for:
so `beta` weighs the KL the same whether a window has 15,000 values or 27,648.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.losses.config import ReconstructionConfig


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


@dataclass(frozen=True)
class Reconstruction:
    """A distance and its reading as a likelihood.

    Attributes:
        distance: (reconstruction, target) to (B,).
        values: numbers in a window.
        sigma: of the Gaussian likelihood; "optimal" fits it to the windows at hand (sigma-VAE, Rybkin et al. 2021,
            arXiv 2006.13202); None reads the distance as nats per value.
    """

    distance: Callable[[Tensor, Tensor], Tensor]
    values: int
    sigma: float | str | None

    def variance(self, distance: Tensor) -> Tensor:
        """Of the likelihood, without a gradient. At 1/2 a squared error counts once; other distances take it too."""
        if self.sigma == "optimal":
            return distance.mean().detach().clamp_min(1e-8)
        return torch.as_tensor(0.5 if self.sigma is None else float(self.sigma) ** 2, device=distance.device)

    def nats(self, distance: Tensor) -> Tensor:
        """(B,) distances to (B,) nats per window; where sigma is optimal, all windows share one."""
        if self.sigma is None:
            return self.values * distance
        variance = self.variance(distance)
        return 0.5 * self.values * (distance / variance + torch.log(variance) + log(2 * pi))


def make(config: ReconstructionConfig, kind: str, values: int) -> Reconstruction:
    """The reconstruction term of a variant.

    Args:
        config: its block.
        kind: "mel" or "waveform".
        values: numbers in a window.
    """
    low = 0.0 if kind == "mel" else -1.0
    distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "gaussian": mse,
        "mse": mse,
        "l1": l1,
        "bce": lambda reconstruction, target: bce(reconstruction, target, low),
    }
    sigma = config.sigma if config.type == "gaussian" else None
    return Reconstruction(distances[config.type], values, sigma)
