"""Arrays that figures and players show: a few test windows, their reconstructions, and samples from the prior."""

from pathlib import Path

import numpy as np
import torch

from pipeline.cache import arrays
from pipeline.cache.reader import Split
from pipeline.models.vae import VAE
from pipeline.training.data import Resident


def choose(split: Split, number: int) -> np.ndarray:
    """Indices of `number` windows, as many different labels as there are, each from the middle of its label's rows."""
    chosen: list[int] = []
    by_label = [np.flatnonzero(split.labels == label) for label in np.unique(split.labels)]
    spread = np.linspace(0, len(by_label) - 1, min(number, len(by_label))).round().astype(int)
    for rows in (by_label[i] for i in spread):
        chosen.append(int(rows[len(rows) // 2]))
    rest = np.setdiff1d(np.arange(len(split)), chosen)
    more = min(max(0, number - len(chosen)), len(rest))
    between = ((np.arange(more) + 0.5) * len(rest) / max(1, more)).astype(int)  # evenly spread
    return np.sort(np.concatenate([chosen, rest[between]])).astype(int)


@torch.no_grad()
def save(path: Path, model: VAE, test: Split, peak_db: float | None, number: int, samples: int, seed: int) -> None:
    """Write examples.parquet: rows of kind original, reconstruction and sample.

    Args:
        path: of the file.
        model: in evaluation mode, on the CPU.
        test: where the originals come from.
        peak_db: level given to the samples of a mel variant; None for waveforms.
        number: of originals.
        samples: number of draws from the prior; the draw is fixed.
        seed: of the model, as a column.
    """
    index = choose(test, number)
    originals, labels = Resident(test, torch.device("cpu"), model.labels).batch(torch.from_numpy(index))
    reconstructions = model.reconstruct(originals, labels)
    of_each = torch.arange(samples) % max(1, len(model.labels))  # a model without labels does not look
    drawn = model.sample(samples, torch.Generator().manual_seed(0), of_each)
    names = [model.labels[i] if model.labels else "" for i in of_each]
    levels = [None] * len(index) if test.peak_db is None else test.peak_db[index].tolist()
    twice = {
        name: 2 * values[index].tolist() for name, values in (("track_id", test.track_ids), ("label", test.labels))
    }
    columns = {
        "kind": ["original"] * len(index) + ["reconstruction"] * len(index) + ["sample"] * samples,
        "example": [*range(len(index)), *range(len(index)), *range(samples)],
        "seed": [seed] * (2 * len(index) + samples),
        "window_id": 2 * test.window_ids[index].tolist() + [-1] * samples,
        "track_id": twice["track_id"] + [""] * samples,
        "label": twice["label"] + names,
        "peak_db": np.array(2 * levels + [peak_db] * samples, dtype=np.float64),
    }
    stacked = torch.cat([originals, reconstructions, drawn]).squeeze(1).numpy().astype(np.float32)
    arrays.write(path, columns, {"array": stacked})
