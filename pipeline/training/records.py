"""What a training leaves beside the model: history.csv and snapshots.parquet."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import arrays
from pipeline.training.snapshots import Snapshots

History = list[dict[str, float]]  # a row per epoch


def save_history(path: Path, history: History) -> None:
    """One row per epoch; losses in nats per window."""
    pd.DataFrame(history).to_csv(path, index=False, float_format="%.8g")


def save_snapshots(path: Path, snapshots: Snapshots) -> None:
    """Rows of kind original (epoch 0), reconstruction and sample, with their epoch, index and float16 array."""
    kinds: list[str] = []
    epochs: list[int] = []
    index: list[int] = []
    values: list[np.ndarray] = []
    stacks = [("original", 0, snapshots.originals.cpu())]
    for epoch, reconstructions, samples in zip(
        snapshots.epochs, snapshots.reconstructions, snapshots.samples, strict=True
    ):
        stacks += [("reconstruction", epoch, reconstructions), ("sample", epoch, samples)]
    for kind, epoch, stack in stacks:
        kinds += [kind] * len(stack)
        epochs += [epoch] * len(stack)
        index += range(len(stack))
        values.append(stack.squeeze(1).numpy().astype(np.float16))
    arrays.write(path, {"kind": kinds, "epoch": epochs, "index": index}, {"array": np.concatenate(values)})
