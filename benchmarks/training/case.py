"""One variant of params.yaml with random windows to train on."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.fixtures import History, split, untrained
from benchmarks.measure import Row
from pipeline.core import params
from pipeline.core.distributed import pick_device
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.schema import schema
from pipeline.training.config import TrainConfig, variant
from pipeline.training.loop import fit

VARIANTS = ("mel_conv", "wave_conv", "wave_fc")  # both representations, and the shortest step
EPOCHS, EPOCH_STEPS = 5, 60
TURN_STEPS = 20  # before the other side takes its turn


@dataclass(frozen=True)
class Case:
    """The arguments of `fit`."""

    variant: str
    settings: TrainConfig
    train: Split
    valid: Split
    device: torch.device

    @classmethod
    def of(cls, name: str, steps: int = EPOCH_STEPS, device: torch.device | None = None, **overrides: Any) -> "Case":
        """So many steps per epoch, and one batch to validate on; `overrides` are settings of the training."""
        raw = params.read_params()
        _, settings = variant(raw, name)
        changes = {"epochs": EPOCHS, "snapshots": 2, "patience": None} | overrides
        settings = TrainConfig(**(settings.model_dump() | changes))
        train = split(schema.load(raw), name, steps * settings.batch_size, spans=True)
        valid = split(schema.load(raw), name, settings.batch_size, seed=1)
        return cls(name, settings, train, valid, device or pick_device("auto"))

    def untrained(self) -> tuple[VAE, Objective]:
        """A new model and its losses, on the device."""
        return untrained(schema.load(), self.variant, self.device)

    def fit(self, callback: History) -> None:
        """Train a new model."""
        model, objective = self.untrained()
        fit(model, self.train, self.valid, self.settings, objective, 0, self.device, callback)

    def __str__(self) -> str:
        return f"{self.variant}, batches of {self.settings.batch_size}, {self.device}"


class TakeTurns(History):
    """Every few steps of a training, run as many steps of a reference, so that a busy machine slows both alike.

    Args:
        reference: takes a number of steps to run.
        device: of both; its work is finished before each turn.
        on_epoch: called with each row of history; its time counts as the training's.
    """

    def __init__(
        self,
        reference: Callable[[int], object],
        device: torch.device,
        on_epoch: Callable[[dict[str, float]], object] = id,
    ) -> None:
        super().__init__()
        self.reference, self.device, self._on_epoch = reference, device, on_epoch
        self.steps = 0
        self.training_times: list[float] = []
        self.reference_times: list[float] = []
        self.epoch_times: list[float] = []

    def on_start(self, history: list[dict[str, float]], step: int, steps_per_epoch: int) -> None:
        """Start the training's first turn."""
        self.turn_start = self._synchronised_time()

    def on_step(self, terms: dict[str, float] | None) -> None:
        """At the end of a turn, run the reference."""
        self.steps += 1
        if self.steps % TURN_STEPS == 0:
            end = self._synchronised_time()
            self.training_times.append(end - self.turn_start)
            self.reference(TURN_STEPS)
            self.turn_start = self._synchronised_time()
            self.reference_times.append(self.turn_start - end)

    def on_epoch(self, row: dict[str, float]) -> None:
        """Start a new turn: the time of the validation counts for neither side."""
        super().on_epoch(row)
        start = self._synchronised_time()
        self._on_epoch(row)
        self.turn_start = self._synchronised_time()
        self.epoch_times.append(self.turn_start - start)

    def row(self, what: str, reference: str) -> Row:
        """Seconds of a turn: medians without the first turn."""
        epoch_share = statistics.median(self.epoch_times) * TURN_STEPS * len(self.rows) / self.steps
        return Row(what, later_median(self.training_times) + epoch_share, reference, later_median(self.reference_times))

    def _synchronised_time(self) -> float:
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()


def later_median(times: list[float]) -> float:
    """Median without the first time."""
    return statistics.median(times[1:])
