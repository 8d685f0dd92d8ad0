"""The learning rate of a step, as a function of what has been: nothing to carry along, nothing to restore."""

import math
from collections.abc import Sequence

from pipeline.training.config import TrainConfig

LEAST = 0.01  # of the learning rate, where a cosine ends


def learning_rate(step: int, steps: int, config: TrainConfig, losses: Sequence[float] = ()) -> float:
    """Learning rate of step number `step` (from 0) of `steps`.

    It rises linearly over the warm-up. Then it is constant, falls by half a cosine to 1 %, or is multiplied by
    `plateau.factor` whenever the validation objective has not improved for more than `plateau.patience` epochs.

    Args:
        step: number of the step.
        steps: of the whole training.
        config: schedule and warm-up.
        losses: validation objective of each epoch so far.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "cosine":
        done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.learning_rate * (LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    if config.schedule == "plateau":
        return config.learning_rate * config.plateau.factor ** plateaus(losses, config.plateau.patience)
    return config.learning_rate


def plateaus(losses: Sequence[float], patience: int) -> int:
    """How many times there were more than `patience` epochs in a row without a new best."""
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited > patience:
            found, waited = found + 1, 0
    return found


def exhausted(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the last best epoch is `patience` epochs ago."""
    return patience is not None and len(losses) - 1 - losses.index(min(losses)) >= patience
