"""One variant with random windows to train on, as params.yaml has it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.measure import Row
from benchmarks.windows import Silent, split, untrained
from pipeline.core import params
from pipeline.core.distributed import pick_device
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.schema import schema
from pipeline.training.config import TrainConfig, variant
from pipeline.training.loop import fit

VARIANTS = ("mel_conv", "wave_conv", "wave_fc")  # both representations, and the shortest step
STEPS, EPOCHS, TURN = 60, 5, 20  # steps in an epoch; epochs; steps between two looks at the clock


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
        raw = params.read_params()
        whole, chosen = schema.load(raw), variant(raw, name)[1]
        chosen = TrainConfig(**(chosen.model_dump() | {"epochs": EPOCHS, "snapshots": 2, "patience": None} | settings))
        train = split(whole, name, steps * chosen.batch_size, spans=True)
        valid = split(whole, name, chosen.batch_size, seed=1)
        return cls(name, chosen, train, valid, device or pick_device("auto"))

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
    """Lets something else take turns with a training, every few steps, so that a busy machine slows both alike.

    Args:
        other: takes the number of steps to make.
        device: that is waited for before each turn.
        on_epoch: called with each row of history; its time counts as the steps' own.
    """

    def __init__(
        self, other: Callable[[int], object], device: torch.device, on_epoch: Callable[[dict[str, float]], object] = id
    ) -> None:
        super().__init__()
        self.other, self.device, self.on_epoch = other, device, on_epoch
        self.made = 0
        self.own: list[float] = []
        self.others: list[float] = []
        self.after: list[float] = []

    def begin(self, history: list[dict[str, float]], step: int, batches: int) -> None:
        """The first turn begins."""
        self.mark = self._now()

    def step(self, terms: dict[str, float] | None) -> None:
        """The other's turn, where it is time to."""
        self.made += 1
        if self.made % TURN == 0:
            began = self._now()
            self.own.append(began - self.mark)
            self.other(TURN)
            self.mark = self._now()
            self.others.append(self.mark - began)

    def epoch(self, row: dict[str, float]) -> None:
        """Validation, which is over, counts for neither."""
        super().epoch(row)
        began = self._now()
        self.on_epoch(row)
        self.mark = self._now()
        self.after.append(self.mark - began)

    def row(self, what: str, reference: str) -> Row:
        """Seconds of a turn, medians over all but the first."""
        of_epochs = statistics.median(self.after) * TURN * len(self.rows) / self.made
        return Row(what, typical(self.own) + of_epochs, reference, typical(self.others))

    def _now(self) -> float:
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()


def typical(times: list[float]) -> float:
    """Median of all but the first."""
    return statistics.median(times[1:])
