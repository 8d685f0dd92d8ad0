"""A tiny mel model and mels whose label is visible, for the tests of this folder."""

import numpy as np
import pandas as pd
import torch

from pipeline.dataset.split import Split
from pipeline.models.vae import VAE

CPU = torch.device("cpu")
LABELS = ("a", "b", "c")
SHAPE = (6, 12)


def split(seed: int, number: int = 30, labels: tuple[str, ...] = LABELS) -> Split:
    """Mels whose label decides which pair of bands is loud."""
    rng = np.random.default_rng(seed)
    window_labels = np.sort(np.resize(labels, number))
    values = rng.normal(-60, 4, (number, *SHAPE))
    for mel, label in zip(values, window_labels, strict=True):
        mel[2 * (ord(label) % 3) : 2 * (ord(label) % 3) + 2] += 40
    ids = np.arange(number)
    return Split("mel", SHAPE, values.astype(np.float16), ids, ids.astype(str), window_labels)


def make_tracks(*track_ids: str) -> pd.DataFrame:
    """tracks.parquet of these recordings; each is a group and has another tempo."""
    facts = {"tempo": 60.0 + np.arange(len(track_ids)), "key": np.resize(["C major", "C minor"], len(track_ids))}
    return pd.DataFrame({"track_id": track_ids, "group": track_ids, **facts, "instrument": None})


def spans(windows: Split) -> Split:
    """The same windows, two in a row of the recordings x, y and z; `windows` has two of each label."""
    values = np.concatenate([windows.values[::2], windows.values[1::2]], axis=-1)
    lengths, counts = np.full(3, 2 * SHAPE[1]), np.full(3, 2)
    names, labels = np.array(["x", "y", "z"]), windows.labels[::2]
    return Split("mel", SHAPE, values, np.arange(3), names, labels, lengths=lengths, windows=counts)


TRAIN, TEST = split(0), split(1)


def build_model(condition: bool = True) -> VAE:
    torch.manual_seed(0)
    description = {
        "network": {"type": "conv2d", "channels": [4]},
        "bottleneck": {"type": "gaussian", "latent": 3},
        "condition": {"type": "film"} if condition else None,
        "labels": LABELS if condition else (),
        "kind": "mel",
        "shape": SHAPE,
        "stats": {"mean": [0.4] * SHAPE[0], "std": [0.25] * SHAPE[0]},
        "representation": {},
    }
    return VAE(description).eval()
