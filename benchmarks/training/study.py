"""One variant with random windows to train on, as params.yaml has it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.windows import Silent, split, untrained
from pipeline import params, schema
from pipeline.cache.reader import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training.config import TrainConfig, variant
from pipeline.training.device import pick
from pipeline.training.loop import fit

VARIANTS = ("mel_conv", "wave_resnet")  # one of each representation
STEPS, EPOCHS = 60, 5  # in an epoch; the first epoch is to warm up


@dataclass(frozen=True)
class Study:
    """What `fit` takes."""

    variant: str
    settings: TrainConfig
    train: Split
    valid: Split
    device: torch.device

    @classmethod
    def of(cls, name: str, steps: int = STEPS, device: torch.device | None = None, **settings: Any) -> "Study":
        """So many steps an epoch, and a batch to validate on; `settings` override those of the variant."""
        raw = params.read()
        whole, chosen = schema.load(raw), variant(raw, name)[1]
        chosen = TrainConfig(**(chosen.model_dump() | {"epochs": EPOCHS, "snapshots": 2, "patience": None} | settings))
        train = split(whole, name, steps * chosen.batch_size, spans=True)
        valid = split(whole, name, chosen.batch_size, seed=1)
        return cls(name, chosen, train, valid, device or pick("auto"))

    def untrained(self) -> tuple[VAE, Objective]:
        """A new model and its losses, on the device."""
        return untrained(schema.load(), self.variant, self.device)

    def fit(self, watch: Silent) -> None:
        """Train a new model."""
        model, objective = self.untrained()
        fit(model, self.train, self.valid, self.settings, objective, 0, self.device, watch)

    def __str__(self) -> str:
        return f"{self.variant}, batches of {self.settings.batch_size}, {self.device}"


class InTurn(Silent):
    """Runs and times something else after each epoch of a training.

    Args:
        other: what takes turns.
        on_epoch: called with each row of history, and counted as part of the epoch.
    """

    def __init__(self, other: Callable[[], object], on_epoch: Callable[[dict[str, float]], object] = id) -> None:
        super().__init__()
        self.other, self.on_epoch = other, on_epoch
        self.own: list[float] = []
        self.others: list[float] = []

    def begin(self, history: list[dict[str, float]], step: int, batches: int) -> None:
        """The first epoch begins."""
        self.mark = time.perf_counter()

    def epoch(self, row: dict[str, float]) -> None:
        """Seconds of the epoch, and of the other's turn."""
        super().epoch(row)
        self.on_epoch(row)
        began = time.perf_counter()
        self.own.append(began - self.mark)
        self.other()
        self.mark = time.perf_counter()
        self.others.append(self.mark - began)


def typical(times: list[float]) -> float:
    """Median of all but the first."""
    return statistics.median(times[1:])
