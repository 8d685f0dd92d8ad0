"""One variant of params.yaml with random windows to train on, made without a cache."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import Row
from pipeline.core import arrays
from pipeline.core.device import pick_device
from pipeline.core.params import read_params
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.schema import schema
from pipeline.training.config import TrainConfig, read_variant
from pipeline.training.crop import crop
from pipeline.training.trainer import Trainer

VARIANTS = ("mel_conv", "wave_conv", "wave_fc")  # both representations, and the shortest step
EPOCHS, EPOCH_STEPS = 5, 60
TURN_STEPS = 20  # before the other side takes its turn


@dataclass(frozen=True)
class Case:
    """What a `Trainer` takes."""

    params: schema.Params
    variant: str
    settings: TrainConfig
    train: Split
    valid: Split
    device: torch.device

    @classmethod
    def of(
        cls,
        name: str,
        steps: int = EPOCH_STEPS,
        device: torch.device | None = None,
        raw: dict[str, Any] | None = None,
        **overrides: Any,
    ) -> "Case":
        """So many steps per epoch, and one batch to validate on; `overrides` are settings of the training.

        `raw` has the params of the variant, by default params.yaml.
        """
        raw = read_params() if raw is None else raw
        params, (_, settings) = schema.load(raw), read_variant(raw, name)
        changes = {"epochs": EPOCHS, "snapshots": 2, "patience": None} | overrides
        settings = TrainConfig(**(settings.model_dump() | changes))
        train = split(params, name, steps * settings.batch_size, spans=True)
        valid = split(params, name, settings.batch_size, seed=1)
        return cls(params, name, settings, train, valid, device or pick_device("auto"))

    def untrained(self) -> tuple[VAE, Objective]:
        """A new model and its losses, on the device.

        Its components are zero until `loop.fit` fits them, which does not change the time of a step.
        """
        config = self.params.models[self.variant]
        assert config.loss is not None, f"{self.variant} is a baseline, which is not trained"
        torch.manual_seed(0)
        model = VAE(describe(self.params, self.variant))
        return model.to(self.device), Objective(config.loss, model.gain.signal).to(self.device)

    def trainer(self) -> Trainer:
        """A trainer of a new model."""
        model, objective = self.untrained()
        step_model, train = model, self.train
        if self.settings.crop_seconds is not None:
            step_model, train = crop(model, train, self.settings.crop_seconds)
            objective = Objective(objective.config, step_model.gain.signal)
        return Trainer(model, train, self.valid, self.settings, objective, 0, self.device, step_model)

    def __str__(self) -> str:
        return f"{self.variant}, batches of {self.settings.batch_size}, {self.device}"


def split(params: schema.Params, variant: str, number: int, seed: int = 0, spans: bool = False) -> Split:
    """`number` random windows of a variant's representation, as the cache stores them.

    A row is a window; with `spans`, it holds as many windows as a row of the representation's train split.
    """
    representation, seconds = params.representations[params.models[variant].representation], params.windows.seconds
    span = max(seconds, representation.train_span_seconds or 0) if spans else seconds
    shape, row_shape = representation.shape(seconds), representation.shape(span)
    windows = np.full(-(-number // round(span / seconds)), round(span / seconds), np.int32)
    windows[-1] -= windows.sum() - number
    ids, rng = np.arange(len(windows)), np.random.default_rng(seed)
    if representation.kind == "mel":
        values = -rng.integers(0, 80, (len(ids), *row_shape), np.int8).astype(np.float16)
    else:
        values = rng.integers(-9000, 9000, (len(ids), *row_shape), np.int16)
    labels = np.array([f"label{i % 3}" for i in ids])
    lengths = (np.full(len(ids), row_shape[-1], np.int32), windows) if spans else (None, None)
    return Split(representation.kind, shape, values, ids, ids.astype(str), labels, None, *lengths)


def on_disk(split: Split, folder: Path, shards: int = 4) -> Split:
    """The split with its arrays in Parquet files in `folder`."""
    files = [folder / f"train-{number:05d}.parquet" for number in range(shards)]
    for file, values in zip(files, np.array_split(split.values, shards), strict=True):
        with arrays.Writer(file) as writer:
            for value in values:
                writer.add({split.kind: value})
    return replace(split, stored=arrays.Column(files, split.kind))


def describe(params: schema.Params, variant: str) -> dict[str, Any]:
    """The content of a variant's config.json, with statistics like those of `split`."""
    config = params.models[variant]
    representation = params.representations[config.representation]
    shape, is_mel = representation.shape(params.windows.seconds), representation.kind == "mel"
    return {
        **config.model_dump(include={"network", "bottleneck", "scaling", "condition"}),
        "representation": representation.model_dump(),
        "kind": representation.kind,
        "shape": shape,
        "labels": ["label0", "label1", "label2"] if config.condition else [],
        "stats": {"mean": [0.5] * shape[0] if is_mel else 0.0, "std": [0.3] * shape[0] if is_mel else 0.16},
    }


def plain_loss(
    model: VAE, objective: Objective, x: Tensor, label: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch half-way through a training, and its main terms, in nats per window."""
    y, code = model(x, torch.randn(len(x), model.latent_dims, device=x.device), label)
    distances = objective.distances(y, x, code) | objective.discriminator_step(y, x, code, 1.0)
    reconstruction = objective.nll(objective.combine(distances)).mean()
    divergence = objective.divergence(code)
    loss = reconstruction + objective.regulariser(divergence, code, 0.5)
    return loss, {"loss": loss, "reconstruction": reconstruction, "kl": divergence.sum(1).mean()}


class History:
    """Takes the place of `pipeline.training.progress.Progress` and keeps its rows of history."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_fit(self, components: int) -> None:
        """Do nothing."""

    def on_start(self, history: list[dict[str, float]], step: int, steps_per_epoch: int) -> None:
        """Do nothing."""

    def on_step(self, terms: dict[str, float] | None) -> None:
        """Do nothing."""

    def on_step_terms(self, first: int, rows: list[dict[str, float]]) -> None:
        """Do nothing."""

    def on_epoch(self, row: dict[str, float], timing: dict[str, float]) -> None:
        """Keep the row and its timing."""
        self.rows.append(row | timing)


class TakeTurns(History):
    """Every few steps of a training, run as many steps of a reference, so that a busy machine slows both alike.

    `on_epoch` gets each row of history; its time counts as the training's.
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

    def on_epoch(self, row: dict[str, float], timing: dict[str, float]) -> None:
        """Start a new turn: the time of the validation counts for neither side."""
        super().on_epoch(row, timing)
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
