"""Measure whether prior samples differ from each other and over time."""

from collections.abc import Iterable, Iterator
from math import log10

import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.evaluation.frechet import FrechetSets
from pipeline.models.collapse import WindowVariance
from pipeline.models.vae import VAE

SAMPLES = 64
MIN_VARIANCE = 1e-12  # avoids a division by zero


@torch.no_grad()
def score(model: VAE, test: WindowLoader, sets: FrechetSets, batch_size: int) -> dict[str, float]:
    """Draw windows from the prior, given the model's labels in turn, and compare the variance of 64 with the data's.

    `sets` gets as many samples as it needs.

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
    labels = torch.arange(max(SAMPLES, sets.missing("samples")), device=test.device) % max(1, len(model.labels))

    def draw() -> Iterator[Tensor]:
        drawn = 0
        for part in labels.split(batch_size):
            samples = model.sample(len(part), generator, part)
            sets.add("samples", samples)
            if drawn < SAMPLES:
                yield samples[: SAMPLES - drawn]
            drawn += len(part)

    variance, time_variance, power = moments(draw())
    data = moments(x for x, _ in test.batches(batch_size))
    data_variance, data_time_variance, data_power = (max(moment, MIN_VARIANCE) for moment in data)
    metrics = {
        "sample_variance_ratio": variance / data_variance,
        "sample_time_ratio": time_variance / data_time_variance,
    }
    if test.kind == "waveform":
        metrics["sample_level_db"] = 10 * log10(max(power, MIN_VARIANCE) / data_power)
    return metrics


def moments(batches: Iterable[Tensor]) -> tuple[float, float, float]:
    """Variance over windows, mean variance over time of windows and bands, and mean square; of (B, 1, *shape)."""
    over_windows = WindowVariance()
    over_time = power = 0.0
    for x in batches:
        over_windows.add(x)
        over_time += float(x.var(-1, correction=0).flatten(1).mean(1).sum())
        power += float(x.square().flatten(1).mean(1).sum())
    return over_windows.variance(), over_time / over_windows.count, power / over_windows.count
