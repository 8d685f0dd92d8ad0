"""A tiny mel model and mels whose label is visible, for the tests of this folder."""

import numpy as np
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
