"""Do windows drawn from the prior vary? Silence, a constant, or one window for every latent does not."""

from collections.abc import Iterable
from math import log10
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.models.collapse import WindowVariance
from pipeline.models.vae import VAE

SAMPLES = 64
MIN_VARIANCE = 1e-12  # avoids a division by zero


@torch.no_grad()
def score(model: VAE, test: Split, batch_size: int, device: torch.device) -> dict[str, float]:
    """Draw 64 windows from the prior, given the model's labels in turn, and compare their variance with the data's.

    The model is on `device`.

    Returns:
        sample_variance_ratio: variance over windows at each value, averaged over values, divided by the data's. Near 0
            if all samples are the same, such as the train mean.
        sample_time_ratio: variance over time within a window (and band), averaged, divided by the data's. Near 0 if
            samples are constant or silent.
        sample_level_db: root mean square divided by the data's, in dB: waveforms only.

        Empty for a model without a latent.
    """
    if not model.latent_dims:
        return {}
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES, device=device) % max(1, len(model.labels))
    samples = moments(model.sample(len(part), generator, part) for part in labels.split(batch_size))
    data = moments(x for x, _ in window_loader(test, device).batches(batch_size))
    metrics = {
        "sample_variance_ratio": samples.over_windows / max(data.over_windows, MIN_VARIANCE),
        "sample_time_ratio": samples.over_time / max(data.over_time, MIN_VARIANCE),
    }
    if test.kind == "waveform":
        metrics["sample_level_db"] = 10 * log10(max(samples.power, MIN_VARIANCE) / max(data.power, MIN_VARIANCE))
    return metrics


class Moments(NamedTuple):
    """Variance over windows, mean variance over time of windows and bands, and mean square."""

    over_windows: float
    over_time: float
    power: float


def moments(batches: Iterable[Tensor]) -> Moments:
    """Moments of batches of windows (B, 1, *shape)."""
    over_windows = WindowVariance()
    over_time = power = 0.0
    for x in batches:
        over_windows.add(x)
        over_time += float(x.var(-1, correction=0).flatten(1).mean(1).sum())
        power += float(x.square().flatten(1).mean(1).sum())
    return Moments(over_windows.variance(), over_time / over_windows.count, power / over_windows.count)
