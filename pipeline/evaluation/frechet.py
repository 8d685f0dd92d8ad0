"""Frechet distances between sets of windows: test windows, their reconstructions, samples of the prior."""

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.metrics.common_mel import ToMel
from pipeline.metrics.measures import squared_frechet_distance
from pipeline.models.vae import VAE

BAND_GROUPS = 16
MAX_WINDOWS = 512  # windows per set


def features(mel: Tensor) -> np.ndarray:
    """(B, 32) in dB, of log-mels (B, bands, frames) in [0, 1]: mean and standard deviation over time of 16 band groups.

    A group is the mean of adjacent bands; the groups are as equal in size as possible. With fewer than 16 bands, each
    band is a group.
    """
    parts = torch.tensor_split(mel.cpu().double() * FLOOR_DB, min(BAND_GROUPS, mel.shape[1]), dim=1)
    groups = torch.stack([part.mean(1) for part in parts], dim=1)
    statistics: np.ndarray = torch.cat([groups.mean(-1), groups.std(-1, correction=0)], dim=1).numpy()
    return statistics


@torch.no_grad()
def score(
    model: VAE, train: Split, test: Split, to_mel: ToMel, batch_size: int, device: torch.device
) -> dict[str, float | None]:
    """Distance of the test windows to three other sets, by `features`; each set has as many windows, at most 512.

    All sets are of the variant's own representation. So distances of two representations do not compare: a narrower
    frequency range gives smaller distances. The model is on `device`.

    Returns:
        frechet_reconstructions: distance to their reconstructions, dB^2; null where it is not defined.
        frechet_samples: distance to windows drawn from the prior, given the model's labels in turn; null without a
            latent.
        frechet_floor: distance to real train windows; even a perfect generator is not expected below it.
    """
    test_loader, train_loader = window_loader(test, device, model.labels), window_loader(train, device)
    test_rows = evenly_spaced(len(test_loader), MAX_WINDOWS)
    train_rows = evenly_spaced(len(train_loader), min(len(test_loader), MAX_WINDOWS))
    test_parts, reconstructions, samples = [], [], []
    for rows in test_rows.split(batch_size):
        x, label = test_loader.batch(rows)
        test_parts.append(features(to_mel(x)))
        reconstructions.append(features(to_mel(model.reconstruct(x, label))))
    floor = [features(to_mel(train_loader.batch(rows).x)) for rows in train_rows.split(batch_size)]
    if model.latent_dims:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(len(test_rows), device=device) % max(1, len(model.labels))
        samples = [features(to_mel(model.sample(len(part), generator, part))) for part in labels.split(batch_size)]
    test_features = np.concatenate(test_parts)
    return {
        "frechet_reconstructions": squared_frechet_distance(np.concatenate(reconstructions), test_features),
        "frechet_samples": squared_frechet_distance(np.concatenate(samples), test_features) if samples else None,
        "frechet_floor": squared_frechet_distance(np.concatenate(floor), test_features),
    }
