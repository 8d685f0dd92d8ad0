"""Diagonal Gaussians: how a layer's outputs become a standard deviation, and the density."""

from math import expm1, log, pi

import torch
from torch import Tensor
from torch.nn import functional

MIN_STD = 1e-4
UNIT = log(expm1(1.0))  # what softplus takes to 1


def deviation(raw: Tensor) -> Tensor:
    """Standard deviations softplus(raw) + 1e-4 of a layer's outputs, in 32 bits: a bare exp can overflow."""
    return functional.softplus(raw.float()) + MIN_STD


def log_density(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Nats of each value of `z` under Normal(mean, std)."""
    return -0.5 * ((z - mean) / std).square() - torch.log(std) - 0.5 * log(2 * pi)
