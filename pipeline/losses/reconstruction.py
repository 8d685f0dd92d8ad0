"""Reconstruction distances: means over the values of a window, weighted by mel band if the loss block sets it."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.audio.mel_scale import band_edges
from pipeline.losses.config import SPECTRAL_KINDS, ReconstructionConfig
from pipeline.losses.spectral import spectral_distance
from pipeline.models.signal import Signal

EPSILON = 0.01  # added in log_magnitude: 0.8 dB of a mel's 80, so that values near the floor do not dominate
# Upper frequency in Hz and weight of bass, middle and treble. The weights are system A's.
MUSICAL_WEIGHTS = ((250.0, 1.5), (4000.0, 2.0), (np.inf, 0.8))


def mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared error of each window of (B, 1, *shape)."""
    return _squared(reconstruction, target).flatten(1).mean(1)


def _squared(y: Tensor, x: Tensor) -> Tensor:
    return (y - x).square()


def _absolute(y: Tensor, x: Tensor) -> Tensor:
    return (y - x).abs()


def _cross_entropy(y: Tensor, x: Tensor, low: float) -> Tensor:
    """Binary cross-entropy minus the entropy of the target, so that a perfect reconstruction has 0.

    Both are mapped from [low, 1] to [0, 1].
    """
    p, t = (((v - low) / (1 - low)).clamp(0, 1) for v in (y, x))
    entropy = torch.special.entr(t) + torch.special.entr(1 - t)
    return functional.binary_cross_entropy(p, t, reduction="none") - entropy


def _log_ratio(y: Tensor, x: Tensor) -> Tensor:
    """Absolute difference of the logarithms of non-negative values (after system D)."""
    return ((y + EPSILON) / (x + EPSILON)).log().abs()


class ReconstructionDistance(nn.Module):
    """The reconstruction distance of a variant: the weighted mean of the distances of single values, or of spectra."""

    weights: Tensor | None

    def __init__(self, config: ReconstructionConfig, signal: Signal) -> None:
        super().__init__()
        self.spectral = spectral_distance(config.type, signal) if config.type in SPECTRAL_KINDS else None
        if self.spectral is not None:
            return
        distances: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "gaussian": _squared,
            "mse": _squared,
            "l1": _absolute,
            "bce": partial(_cross_entropy, low=signal.low),
            "log_magnitude": _log_ratio,
        }
        self.value_distance = distances[config.type]
        self.register_buffer("weights", band_weights(config.weighting, signal), persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, *shape) each."""
        if self.spectral is not None:
            whole: Tensor = self.spectral(reconstruction, target)
            return whole
        distance = self.value_distance(reconstruction, target)
        if self.weights is not None:
            distance = distance * self.weights
        return distance.flatten(1).mean(1)


def band_weights(weighting: str, signal: Signal) -> Tensor | None:
    """(bands, 1) positive weights with mean 1; None for "none".

    "musical" is `MUSICAL_WEIGHTS`, "a_weighting" the amplitude gain of A-weighting (IEC 61672-1), at least -80 dB.
    """
    if weighting == "none":
        return None
    centres = band_centres(signal)
    if weighting == "musical":
        borders, values = np.array(MUSICAL_WEIGHTS).T
        weights = values[np.searchsorted(borders, centres)]
    else:
        import librosa  # slow to import, and no other weighting needs it

        weights = 10 ** (librosa.A_weighting(centres, min_db=-80.0) / 20)
    return torch.tensor(weights / weights.mean(), dtype=torch.float32).unsqueeze(1)


def band_centres(signal: Signal) -> np.ndarray:
    """(bands,) centre frequencies of a mel's bands in Hz, lowest first."""
    return band_edges(signal.representation["sample_rate"], signal.representation["bands"])[1:-1]
