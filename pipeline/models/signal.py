"""What a model sees of a window: kind, shape, statistics."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Signal:
    """The input of a model and of its losses.

    Attributes:
        kind: "mel" (values in [0, 1]) or "waveform" (values in [-1, 1]).
        shape: of one window, (bands, frames) or (samples,).
        mean: of the train split, a number for each band, or one for all samples.
        std: likewise.
        representation: its block of params.yaml, with sample_rate and, for a mel, n_fft, hop_length and bands.
    """

    kind: str
    shape: tuple[int, ...]
    mean: float | list[float]
    std: float | list[float]
    representation: dict[str, Any]

    @classmethod
    def of(cls, description: dict[str, Any]) -> "Signal":
        """Of a model's config.json."""
        stats = description["stats"]
        known = description["kind"], tuple(description["shape"]), stats["mean"], stats["std"]
        return cls(*known, description["representation"])

    @property
    def low(self) -> float:
        """The least value: 0 or -1. The greatest is 1."""
        return 0.0 if self.kind == "mel" else -1.0

    @property
    def values(self) -> int:
        """Numbers in a window."""
        return prod(self.shape)

    @cached_property
    def variance(self) -> float:
        """Of the train split's values about their (band's) mean: what a squared error is measured against."""
        return float(torch.tensor(self.std, dtype=torch.float64).square().mean().clamp_min(1e-12))


def column(values: float | list[float]) -> Tensor:
    """A statistic as (bands, 1), which spreads over frames, or (1, 1), which spreads over samples."""
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1)
