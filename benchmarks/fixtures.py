"""Random windows, untrained models and a plain loss: what trainings are measured with, without a cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core import arrays
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE, build
from pipeline.schema.schema import Params


def split(params: Params, variant: str, number: int, seed: int = 0, spans: bool = False) -> Split:
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


def describe(params: Params, variant: str) -> dict[str, Any]:
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


def untrained(params: Params, variant: str, device: torch.device) -> tuple[VAE, Objective]:
    """A new model of the variant and its losses, on the device."""
    loss = params.models[variant].loss
    assert loss is not None, f"{variant} is a baseline, which is not trained"
    torch.manual_seed(0)
    model = build(describe(params, variant))
    return model.to(device), Objective(loss, model.gain.signal).to(device)


def plain_loss(
    model: VAE, objective: Objective, x: Tensor, label: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch half-way through a training, and its main terms, in nats per window."""
    y, code = model(x, torch.randn(len(x), model.latent_dims, device=x.device), label)
    distances = objective.distances(y, x, code) | objective.discriminator_step(y, x, code)
    reconstruction = objective.nll(objective.combine(distances)).mean()
    divergence = objective.divergence(code)
    loss = reconstruction + objective.regulariser(divergence, code, 0.5)
    return loss, {"loss": loss, "reconstruction": reconstruction, "kl": divergence.sum(1).mean()}


class History:
    """A callback of a training (`pipeline.training.loop.Callback`) that keeps its rows of history."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_start(self, history: list[dict[str, float]], step: int, steps_per_epoch: int) -> None:
        """Do nothing."""

    def on_step(self, terms: dict[str, float] | None) -> None:
        """Do nothing."""

    def on_step_terms(self, first: int, rows: list[dict[str, float]]) -> None:
        """Do nothing."""

    def on_epoch(self, row: dict[str, float]) -> None:
        """Keep the row."""
        self.rows.append(row)
