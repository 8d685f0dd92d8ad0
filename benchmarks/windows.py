"""Windows and models to train with, made without a cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core import arrays
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE, build
from pipeline.schema.schema import Params


def split(params: Params, variant: str, number: int, seed: int = 0, spans: bool = False) -> Split:
    """So many random windows of a variant's representation, as the cache stores them.

    A row is a window; with `spans`, it holds as many as the representation's train split has in a row.
    """
    representation, seconds = params.representations[params.models[variant].representation], params.windows.seconds
    span = max(seconds, representation.train_span_seconds or 0) if spans else seconds
    shape, of_row = representation.shape(seconds), representation.shape(span)
    windows = np.full(-(-number // round(span / seconds)), round(span / seconds), np.int32)
    windows[-1] -= windows.sum() - number
    ids, rng = np.arange(len(windows)), np.random.default_rng(seed)
    if representation.kind == "mel":
        values = -rng.integers(0, 80, (len(ids), *of_row), np.int8).astype(np.float16)
    else:
        values = rng.integers(-9000, 9000, (len(ids), *of_row), np.int16)
    labels = np.array([f"label{i % 3}" for i in ids])
    place = (np.full(len(ids), of_row[-1], np.int32), windows) if spans else (None, None)
    return Split(representation.kind, shape, values, ids, ids.astype(str), labels, None, *place)


def on_disk(split: Split, folder: Path, shards: int = 4) -> Split:
    """The split with its arrays in Parquet below `folder`, from where they are read when they are asked for."""
    files = [folder / f"train-{number:05d}.parquet" for number in range(shards)]
    for file, values in zip(files, np.array_split(split.values, shards), strict=True):
        with arrays.Writer(file) as writer:
            for value in values:
                writer.add({split.kind: value})
    return replace(split, stored=arrays.Column(files, split.kind))


def description(params: Params, variant: str) -> dict[str, Any]:
    """What config.json would say of the variant, with statistics like those of the windows above."""
    config = params.models[variant]
    representation = params.representations[config.representation]
    shape, mel = representation.shape(params.windows.seconds), representation.kind == "mel"
    return {
        **config.model_dump(include={"network", "bottleneck", "scaling", "condition"}),
        "representation": representation.model_dump(),
        "kind": representation.kind,
        "shape": shape,
        "labels": ["label0", "label1", "label2"] if config.condition else [],
        "stats": {"mean": [0.5] * shape[0] if mel else 0.0, "std": [0.3] * shape[0] if mel else 0.16},
    }


def untrained(params: Params, variant: str, device: torch.device) -> tuple[VAE, Objective]:
    """A new model of the variant and its losses, on the device."""
    loss = params.models[variant].loss
    assert loss is not None, f"{variant} is a baseline, which is not trained"
    torch.manual_seed(0)
    model = build(description(params, variant))
    return model.to(device), Objective(loss, model.level.signal).to(device)


class Silent:
    """Watches a training and keeps its rows of history (`pipeline.training.loop.Watcher`)."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def begin(self, history: list[dict[str, float]], step: int, batches: int) -> None:
        """Nothing to do."""

    def step(self, terms: dict[str, float] | None) -> None:
        """Nothing to do."""

    def steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """Nothing to do."""

    def epoch(self, row: dict[str, float]) -> None:
        """Keep it."""
        self.rows.append(row)
