"""Kind, shape and train statistics of the windows."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Signal:
    """The windows that a model takes."""

    kind: str  # mel (values in [0, 1]) or waveform (values in [-1, 1])
    shape: tuple[int, ...]  # shape of one window: (bands, frames) or (samples,)
    mean: float | list[float]  # mean of the train split: per band of a mel, or of all samples of a waveform
    std: float | list[float]  # standard deviation of the same values
    representation: dict[str, Any]  # its block of params.yaml

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> "Signal":
        """The signal of a model, from its config.json."""
        kind, shape, stats = description["kind"], tuple(description["shape"]), description["stats"]
        return cls(kind, shape, stats["mean"], stats["std"], description["representation"])

    @property
    def low(self) -> float:
        """The lowest possible value: 0 or -1. The highest is 1."""
        return 0.0 if self.kind == "mel" else -1.0

    @property
    def size(self) -> int:
        """Number of values in a window."""
        return prod(self.shape)

    @cached_property
    def variance(self) -> float:
        """Variance of the train split around the mean (of each band): the scale of a squared error."""
        return float(torch.tensor(self.std, dtype=torch.float64).square().mean().clamp_min(1e-12))


def as_column(values: float | list[float]) -> Tensor:
    """A statistic as (bands, 1), to broadcast over frames, or as (1, 1), to broadcast over samples."""
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1)
