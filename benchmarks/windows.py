"""Windows and models to train with, made without a cache."""

from typing import Any

import numpy as np
import torch

from pipeline.cache.reader import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE, build
from pipeline.schema import Params


def split(params: Params, variant: str, number: int, seed: int = 0) -> Split:
    """So many random windows of a variant's representation, each a row, as the cache stores them."""
    representation = params.representations[params.models[variant].representation]
    shape, ids = representation.shape(params.windows.seconds), np.arange(number)
    rng = np.random.default_rng(seed)
    if representation.kind == "mel":
        values = -rng.integers(0, 80, (number, *shape), np.int8).astype(np.float16)
    else:
        values = rng.integers(-9000, 9000, (number, *shape), np.int16)
    labels = np.array([f"label{i % 3}" for i in ids])
    return Split(representation.kind, shape, values, ids, ids.astype(str), labels)


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

    def epoch(self, row: dict[str, float]) -> None:
        """Keep it."""
        self.rows.append(row)
