"""The optimiser, its learning rate, and the moving average of the weights."""

import copy
import inspect
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from pipeline.models.vae import VAE
from pipeline.training.config import TrainConfig

COSINE_END = 0.01  # share of the learning rate


def _uncompiled(optimiser: type[Optimizer]) -> Any:
    """The class without torch's decorators for compiled steps, which would import torch._dynamo for a second."""
    plain = {name: inspect.unwrap(getattr(optimiser, name)) for name in ("add_param_group", "zero_grad", "step")}
    return type(optimiser.__name__, (optimiser,), plain | {"step": torch.no_grad()(plain["step"])})


OPTIMISERS = {"adam": _uncompiled(torch.optim.Adam), "adamw": _uncompiled(torch.optim.AdamW)}


def is_fused(device: torch.device) -> bool:
    """Whether the optimiser updates all weights in one kernel on this device. Such a kernel can also skip a step."""
    return device.type != "mps"


def make_optimiser(parameters: Iterable[nn.Parameter], config: TrainConfig, device: torch.device) -> Optimizer:
    """The optimiser of the model's weights.

    By default the second moment forgets within a hundred steps, not a thousand as in torch: in the first epochs of a
    short training the gradients of a mean squared error become many times smaller.
    """
    optimiser: Optimizer = OPTIMISERS[config.optimiser](
        parameters, config.learning_rate, tuple(config.betas), weight_decay=config.weight_decay, fused=is_fused(device)
    )
    return optimiser


def learning_rate(step: int, total_steps: int, config: TrainConfig, losses: Sequence[float] = ()) -> float:
    """Learning rate of step number `step` (from 0), given the validation `losses` of the epochs so far.

    It rises linearly over the warm-up. Then it is constant, falls by half a cosine to 1 %, or is multiplied by
    `plateau.factor` whenever the validation loss does not improve for more than `plateau.patience` epochs.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "cosine":
        progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return config.learning_rate * (COSINE_END + (1 - COSINE_END) * cosine)
    if config.schedule == "plateau":
        return config.learning_rate * config.plateau.factor ** count_plateaus(losses, config.plateau.patience)
    return config.learning_rate


def count_plateaus(losses: Sequence[float], patience: int) -> int:
    """The number of times that more than `patience` consecutive epochs had no new best loss."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited > patience:
            count, waited = count + 1, 0
    return count


class MovingAverage:
    """A copy of `model` whose weights are a moving average (Polyak averaging, also called EMA).

    A step keeps `decay` of the average; less in the first steps, to forget the initial weights soon. Buffers, such as
    running statistics and codebooks, are not averaged: they are copied from the model.
    """

    def __init__(self, model: VAE, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay
        self._averages, self._weights = tuple(self.model.parameters()), tuple(model.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after step number `step` (from 0) to the average."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - min(self.decay, (1 + step) / (10 + step)))

    def with_buffers_of(self, model: VAE) -> VAE:
        """The averaged model, with the current buffers of `model`."""
        averages = {name: weight.detach() for name, weight in self.model.named_parameters()}
        self.model.load_state_dict(model.state_dict() | averages)
        return self.model
