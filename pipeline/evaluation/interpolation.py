"""Interpolation between the latents of two windows: pairs of windows, and how smoothly the decoded mel changes."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.metrics.common_mel import ToMel
from pipeline.models.vae import VAE

METRICS = {"linear": "interpolation_smoothness", "slerp": "interpolation_smoothness_slerp"}  # mode -> metric
SCORED_PAIRS = 8


def select_pairs(labels: Sequence[str], number: int) -> list[tuple[int, int]]:
    """Up to `number` pairs of windows with these labels, as indices.

    Pairs of different labels come first, and each window is in as few pairs as possible.
    """
    remaining = list(combinations(range(len(labels)), 2))
    uses: Counter[int] = Counter()
    pairs: list[tuple[int, int]] = []
    while remaining and len(pairs) < number:
        best = min(remaining, key=lambda pair: (labels[pair[0]] == labels[pair[1]], uses[pair[0]] + uses[pair[1]]))
        remaining.remove(best)
        uses.update(best)
        pairs.append(best)
    return pairs


def interpolation_unevenness(mel: Tensor) -> float | None:
    """Largest step over mean step of an interpolation (steps, bands, frames); a step is the RMS change of the values.

    1 if all steps are equal; with n steps at most n, where one step makes the whole change. None if nothing changes, or
    a value is not finite.
    """
    steps = mel.double().diff(dim=0).square().flatten(1).mean(1).sqrt()
    mean = float(steps.mean())
    return float(steps.max()) / mean if 0 < mean < float("inf") else None


@torch.no_grad()
def score(model: VAE, test: WindowLoader, to_mel: ToMel, steps: int) -> dict[str, float | None]:
    """Interpolate between eight pairs of evenly spaced test windows, with different labels if possible.

    A conditional model changes the label half-way, which adds a step. `steps` counts the windows of an
    interpolation with both ends, at least 3.

    Returns:
        interpolation_smoothness and interpolation_smoothness_slerp: mean `interpolation_unevenness` over the pairs, so
        lower is smoother; None without a latent, or with a single window.
    """
    values: dict[str, list[float]] = {mode: [] for mode in METRICS}
    if model.latent_dims:
        rows = evenly_spaced(len(test), 2 * SCORED_PAIRS)
        x, label = test.batch(rows)
        for a, b in select_pairs(test.split.labels[rows.numpy()].tolist(), SCORED_PAIRS):
            for mode in METRICS:
                value = interpolation_unevenness(to_mel(model.interpolate(x[a], x[b], steps, mode, label[[a, b]])))
                if value is not None:
                    values[mode].append(value)
    return {name: float(np.mean(values[mode])) if values[mode] else None for mode, name in METRICS.items()}
