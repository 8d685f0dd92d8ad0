"""How far the windows that a variant makes are, as a set, from the real ones: Frechet distances of mel statistics."""

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.evaluation.peak_normalised_mel import ToMel
from pipeline.metrics.measures import frechet_distance
from pipeline.models.vae import VAE

GROUPS = 16  # of mel bands
WINDOWS = 512  # at most, in each of the sets that are compared


def features(mel: Tensor) -> np.ndarray:
    """(B, 32) in dB, of log-mels (B, bands, frames) in [0, 1]: mean and standard deviation over time of 16 band groups.

    A group is the mean over its bands, as many of them side by side in each as can be; fewer than 16 bands are a group
    each.
    """
    parts = torch.tensor_split(mel.cpu().double() * FLOOR_DB, min(GROUPS, mel.shape[1]), dim=1)
    groups = torch.stack([part.mean(1) for part in parts], dim=1)
    found: np.ndarray = torch.cat([groups.mean(-1), groups.std(-1, correction=0)], dim=1).numpy()
    return found


@torch.no_grad()
def score(
    model: VAE, train: Split, test: Split, to_mel: ToMel, batch_size: int, device: torch.device
) -> dict[str, float | None]:
    """Compare test windows with three other sets, by `features` in dB: of as many windows each, 512 at most.

    All are of the variant's own representation: between two of them, one with less band has less to get wrong.

    Args:
        model: in evaluation mode, on `device`.
        train: of its cache.
        test: likewise.
        to_mel: own windows (B, 1, *shape) to log-mels (B, bands, frames) in [0, 1], see `relative`.
        batch_size: of the model.
        device: where it runs.

    Returns:
        frechet_reconstructions: distance to their reconstructions, dB^2. None where it is not defined, as below.
        frechet_samples: to windows drawn from the prior, of the model's labels in turn; None without a latent.
        frechet_floor: to real train windows: what even a perfect generator is not expected to be below.
    """
    data, known = window_loader(test, device, model.labels), window_loader(train, device)
    shown, learnt = evenly_spaced(len(data), WINDOWS), evenly_spaced(len(known), min(len(data), WINDOWS))
    real, made, floor, drawn = [], [], [], []
    for rows in shown.split(batch_size):
        x, label = data.batch(rows)
        real.append(features(to_mel(x)))
        made.append(features(to_mel(model.reconstruct(x, label))))
    for rows in learnt.split(batch_size):
        floor.append(features(to_mel(known.batch(rows).x)))
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(shown) if model.latent_dims else 0, device=device) % max(1, len(model.labels))
    for part in labels.split(batch_size) if len(labels) else ():
        drawn.append(features(to_mel(model.sample(len(part), generator, part))))
    test_features = np.concatenate(real)
    return {
        "frechet_reconstructions": frechet_distance(np.concatenate(made), test_features),
        "frechet_samples": frechet_distance(np.concatenate(drawn), test_features) if drawn else None,
        "frechet_floor": frechet_distance(np.concatenate(floor), test_features),
    }
