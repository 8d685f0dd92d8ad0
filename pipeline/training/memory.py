"""What a training will need of its device's memory, and whether that is there."""

import copy
import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.core.errors import TrainingError
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training.config import TrainConfig
from pipeline.training.device import autocast
from pipeline.training.live import Live
from pipeline.training.room import available
from pipeline.training.step import loss

GIB = 2**30
SMALL, LARGE = 2, 4  # windows of the batches that are tried


@dataclass(frozen=True)
class Need:
    """Bytes by part.

    Attributes:
        weights: parameters and buffers of model and losses, which are on the device already.
        gradients: of the parameters.
        moments: AdamW's two.
        copies: of the best epoch, and of the moving average where there is one.
        data: what of the dataset is yet to be put there.
        batch_size: windows of a step.
        timelines: bytes that a step holds beyond all this after each of its operations, with two windows and with four.
    """

    weights: int
    gradients: int
    moments: int
    copies: int
    data: int
    batch_size: int
    timelines: tuple[Sequence[int], Sequence[int]]

    @property
    def activations(self) -> int:
        """Bytes that a step holds at most. At each operation they grow by the same for every window."""
        return round(max(low + (self.batch_size - SMALL) * slope for low, slope in self._lines()))

    @property
    def more(self) -> int:
        """Bytes that are yet to be allocated."""
        return self.gradients + self.moments + self.copies + self.data + self.activations

    def largest(self, available: int) -> int:
        """The most windows in a batch for which so many bytes are enough; 0 if they are not for a single one."""
        left = available - (self.more - self.activations)
        return max(0, math.floor(min(SMALL + (left - low) / slope for low, slope in self._lines() if slope > 0)))

    def _lines(self) -> list[tuple[int, float]]:
        """Of each operation, the bytes with two windows, and what every further one adds."""
        small, large = self.timelines
        if len(small) != len(large):  # the two steps went different ways
            small, large = [max(small)], [max(large)]
        return [(low, (high - low) / (LARGE - SMALL)) for low, high in zip(small, large, strict=True)]


def needed(
    model: VAE,
    objective: Objective,
    batch_size: int,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    moving_average: bool = False,
    data: int = 0,
) -> Need:
    """What training the model will need on the device where it is.

    Tiny batches are trained on for real, by copies of model and losses: neither they nor torch's random numbers change.
    What libraries take within an operation, and what an allocator loses between its blocks, is not seen, so the true
    peak is rather higher.

    Args:
        model: as it is before `torch.compile` and DistributedDataParallel.
        objective: its losses, on the same device.
        batch_size: windows of a step on this device.
        precision: makes the context of forward pass and losses.
        moving_average: whether one of the weights is kept.
        data: bytes of the dataset that are yet to be put there.
    """
    device = next(model.parameters()).device
    present = [model.parameters(), model.buffers(), objective.parameters(), objective.buffers()]
    learnt = [p for part in (model, objective) for p in part.parameters() if p.requires_grad]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        step = _Step(model, objective, precision)
        step(SMALL)  # leaves gradients, which every later step begins with
        timelines = step.timeline(SMALL), step.timeline(LARGE)
    return Need(
        weights=sum(map(_bytes, present)),
        gradients=_bytes(learnt),
        moments=2 * _bytes(learnt),
        copies=(1 + moving_average) * _bytes(model.state_dict().values()),
        data=data,
        batch_size=batch_size,
        timelines=timelines,
    )


def ensure(
    model: VAE, objective: Objective, splits: Iterable[Split], config: TrainConfig, device: torch.device
) -> Need | None:
    """Refuse, before it begins, a training on `fit`'s arguments that the device has no room for.

    With several ranks all of them call this. Each looks at its own GPU, or has its share of the machine's memory.

    Returns:
        What it needs; None where nobody knows what the device has.

    Raises:
        TrainingError: it does not fit.
    """
    spare = available(device)
    if spare is None:
        return None
    world, budget = distributed.world_size(), config.resident_gib * GIB
    least = min(distributed.all_gather_object(spare))  # before one of them takes some
    if device.type == "cpu":
        spare = least // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    resident = [split for split in splits if split.nbytes <= budget and (device.type != "cpu" or not split.loaded)]
    precision, data = partial(autocast, config, device), sum(split.nbytes for split in resident)
    average = config.moving_average is not None
    need = needed(model, objective.to(device), config.batch_size // world, precision, average, data)
    if not config.compile:  # compiled, a step keeps less than is seen here
        check(need, spare, str(device), world)
    return need


def check(need: Need, available: int, where: str, ranks: int = 1) -> None:
    """Refuse what is more than there is.

    Args:
        need: of one rank.
        available: bytes on its device.
        where: the device's name.
        ranks: that share a batch.

    Raises:
        TrainingError: it does not fit, with what would.
    """
    if need.more <= available:
        return
    parts = {name: getattr(need, name) for name in ("activations", "data", "moments", "gradients", "copies")}
    large = sorted((part for part in parts.items() if part[1] >= need.more / 100), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {_gib(size)}" for name, size in large)
    largest, left = need.largest(available), available - (need.more - need.data)
    ways = [f"train.batch_size to {ranks * largest}"] if largest else []
    ways += [f"train.resident_gib to {left / GIB:.2g}"] if need.data and left >= 0 else []
    hint = f"lower {' or '.join(ways)}" if ways else "even a single window is too much: take a smaller network"
    raise TrainingError(
        f"needs some {_gib(need.more)} GiB more ({listed}) and {where} has {_gib(available)} GiB free; {hint}"
    )


class _Step:
    """A step of training by copies of model and losses, on random windows and without the optimiser."""

    def __init__(self, model: VAE, objective: Objective, precision: Callable[[], AbstractContextManager[Any]]) -> None:
        self.model, self.objective = copy.deepcopy(model).train(), copy.deepcopy(objective)
        self.precision = precision

    def __call__(self, windows: int) -> None:
        model, objective = self.model, self.objective
        device = next(model.parameters()).device
        x = torch.rand(windows, 1, *objective.signal.shape, device=device)
        noise = torch.randn(windows, model.latent_dims, device=device)
        label = torch.zeros(windows, dtype=torch.long, device=device)
        with self.precision():
            total, _ = loss(model, objective, x, noise, label, 0.5)
        model.zero_grad(set_to_none=True)
        (total / objective.signal.values).backward()

    def timeline(self, windows: int) -> list[int]:
        """Bytes after each operation beyond weights and gradients."""
        parameters = [*self.model.parameters(), *self.objective.parameters()]
        with Live([p.grad for p in parameters if p.grad is not None]) as live:
            self(windows)
        return live.timeline


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}" if size >= GIB / 10 else f"{size / GIB:.2g}"
