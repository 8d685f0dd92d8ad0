"""Ways through the latent space: between which windows, and how evenly what is decoded changes along them."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.evaluation.peak_normalised_mel import ToMel
from pipeline.models.vae import VAE

MODES = ("linear", "slerp")
WALKS = 8  # that smoothness is the mean of


def pairs(labels: Sequence[str], number: int) -> list[tuple[int, int]]:
    """Up to `number` pairs of windows, of different labels as far as there are, each window in as few as can be.

    Args:
        labels: of the windows.
        number: of pairs; there are fewer where the windows have no more.
    """
    left = list(combinations(range(len(labels)), 2))
    used: Counter[int] = Counter()
    chosen: list[tuple[int, int]] = []
    while left and len(chosen) < number:
        best = min(left, key=lambda pair: (labels[pair[0]] == labels[pair[1]], used[pair[0]] + used[pair[1]]))
        left.remove(best)
        used.update(best)
        chosen.append(best)
    return chosen


def unevenness(mel: Tensor) -> float | None:
    """Largest over mean step of a walk (steps, bands, frames); a step is the root mean square change of the values.

    1 is an even walk; with n steps it is at most n, where all changes at once. None where nothing changes at all, or
    values are no numbers.
    """
    steps = mel.double().diff(dim=0).square().flatten(1).mean(1).sqrt()
    mean = float(steps.mean())
    return float(steps.max()) / mean if 0 < mean < float("inf") else None


@torch.no_grad()
def score(model: VAE, test: Split, to_mel: ToMel, steps: int, device: torch.device) -> dict[str, float | None]:
    """Walk between eight pairs of test windows, evenly spread and of different labels.

    A model with a condition changes the label half-way, which is a step of its own.

    Args:
        model: in evaluation mode, on `device`.
        test: where the ends come from.
        to_mel: own windows (B, 1, *shape) to log-mels (B, bands, frames) in [0, 1], see `relative`.
        steps: windows of a walk, both ends among them, 3 at least.
        device: where it runs.

    Returns:
        interpolation_smoothness and interpolation_smoothness_slerp: `unevenness`, the mean over the walks; None without
        a latent, or of a single window.
    """
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    if model.latent_dims:
        data = window_loader(test, device, model.labels)
        rows = evenly_spaced(len(data), 2 * WALKS)
        x, label = data.batch(rows)
        for a, b in pairs(test.labels[rows.numpy()].tolist(), WALKS):
            for mode in MODES:
                walk = model.interpolate(x[a], x[b], steps, mode, label[[a, b]])
                uneven = unevenness(to_mel(walk))
                found[mode] += [] if uneven is None else [uneven]
    means = [float(np.mean(found[mode])) if found[mode] else None for mode in MODES]
    return dict(zip(("interpolation_smoothness", "interpolation_smoothness_slerp"), means, strict=True))
