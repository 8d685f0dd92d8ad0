"""Diagonal Gaussians: standard deviations from the outputs of a layer, and the log density."""

from math import expm1, log, pi

import torch
from torch import Tensor
from torch.nn import functional

MIN_STD = 1e-4
RAW_ONE = log(expm1(1.0))  # softplus maps it to 1


def positive_std(raw: Tensor) -> Tensor:
    """Standard deviations softplus(raw) + 1e-4 from the outputs of a layer, in 32 bits: exp(raw) can overflow."""
    return functional.softplus(raw.float()) + MIN_STD


def log_density(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Log density of each value of `z` under Normal(mean, std), in nats."""
    return -0.5 * ((z - mean) / std).square() - torch.log(std) - 0.5 * log(2 * pi)
