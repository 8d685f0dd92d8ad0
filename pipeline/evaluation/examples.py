"""Arrays that figures show: a few test windows, their reconstructions and transfers, samples from the prior."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.cache import arrays
from pipeline.cache.reader import Split
from pipeline.evaluation import transfer
from pipeline.models.vae import VAE
from pipeline.training.feed import feed


@torch.no_grad()
def save(
    path: Path, model: VAE, test: Split, index: np.ndarray, peak_db: float | None, samples: int, seed: int
) -> None:
    """Write examples.parquet: rows of kind original, reconstruction and sample, and transfer if there is a condition.

    A transfer has its original's `example` and `track_id` and the label that it was given, which is not its own.

    Args:
        path: of the file.
        model: in evaluation mode, on the CPU.
        test: where the originals come from.
        index: rows of `test` that are shown.
        peak_db: level given to the samples of a mel variant; None for waveforms.
        samples: number of draws from the prior; the draw is fixed. Without a latent there is nothing to draw.
        seed: of the model, as a column.
    """
    samples = samples if model.latent_dims else 0
    originals, labels = feed(test, torch.device("cpu"), model.labels).batch(torch.from_numpy(index))
    reconstructions = model.reconstruct(originals, labels)
    of_each = torch.arange(samples) % max(1, len(model.labels))  # a model without labels does not look
    drawn = model.sample(samples, torch.Generator().manual_seed(0), of_each)
    names = [model.labels[i] if model.labels else "" for i in of_each]
    moved, given = _transfers(model, originals, labels)
    levels = [None] * len(index) if test.peak_db is None else test.peak_db[index].tolist()
    of = {name: values[index].tolist() for name, values in (("track_id", test.track_ids), ("label", test.labels))}
    numbers, ids, again = [*range(len(index))], test.window_ids[index].tolist(), len(given)
    columns = {
        "kind": [
            *["original"] * len(index),
            *["reconstruction"] * len(index),
            *["sample"] * samples,
            *["transfer"] * again,
        ],
        "example": [*numbers, *numbers, *range(samples), *numbers[:again]],
        "seed": [seed] * (2 * len(index) + samples + again),
        "window_id": [*ids, *ids, *[-1] * samples, *ids[:again]],
        "track_id": [*of["track_id"], *of["track_id"], *[""] * samples, *of["track_id"][:again]],
        "label": [*of["label"], *of["label"], *names, *given],
        "peak_db": np.array([*levels, *levels, *[peak_db] * samples, *levels[:again]], dtype=np.float64),
    }
    stacked = torch.cat([originals, reconstructions, drawn, moved]).squeeze(1).numpy().astype(np.float32)
    arrays.write(path, columns, {"array": stacked})


def _transfers(model: VAE, originals: Tensor, labels: Tensor) -> tuple[Tensor, list[str]]:
    """Each original under another label, and those labels; none without a condition or a second label."""
    if model.condition is None or len(model.labels) < 2:
        return originals[:0], []
    target = transfer.other(labels, len(model.labels))
    return model.transfer(originals, labels, target), [model.labels[i] for i in target]
