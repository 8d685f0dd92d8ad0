"""Transfer to another label, by a conditional variant. A probe that learnt real windows predicts the result's label."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.metrics.probe import MAX_ITERATIONS, ProbeScores, statistics
from pipeline.models.collapse import WindowVariance
from pipeline.models.vae import VAE

MIN_VARIANCE = 1e-12  # avoids a division by zero


def features(x: Tensor) -> np.ndarray:
    """`statistics` of windows (B, 1, *shape), for the probe."""
    rows: np.ndarray = statistics(x.cpu()).double().numpy()
    return rows


def fit_probe(train: WindowLoader, batch_size: int) -> Any:
    """A linear probe from `features` of windows to the index of their label; it learns the real windows of `train`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = [(features(x), label.cpu().numpy()) for x, label in train.batches(batch_size)]
    rows, labels = (np.concatenate(side) for side in zip(*parts, strict=True))
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS)).fit(rows, labels)


def target_labels(label: Tensor, labels: int, start: int = 0) -> Tensor:
    """(B,) a target in [0, labels) for each window, different from its own `label` (B,).

    The first window has the number `start`. Consecutive windows take all targets in turn. A window with an unknown
    label may get any.
    """
    number = torch.arange(start, start + len(label), device=label.device)
    return (label + 1 + number % (labels - 1)) % labels


@torch.no_grad()
def score(model: VAE, train: WindowLoader, test: WindowLoader, batch_size: int) -> ProbeScores:
    """Transfer each test window to another label, and predict the label of the result.

    Returns:
        windows: transfer_accuracy: the transferred window gets its new label.
            transfer_source: the transferred window still gets its old label.
            transfer_statistics: the window gets the new label if only the label's statistics are replaced, without a
                model between: the effect of the condition's input and output alone.
            transfer_real: the original window gets its own label.
            transfer_reconstruction: its reconstruction gets its own label.
        numbers: transfer_chance, one over the number of labels; transfer_change, mean squared difference of the
            reconstructions with the old and the new label, divided by the variance of the test windows.

        Both are empty for a model without a condition, or with a single label.
    """
    condition = model.condition
    if condition is None or len(model.labels) < 2:
        return ProbeScores({}, {})
    probe = fit_probe(train, batch_size)
    over_windows = WindowVariance()
    hits: dict[str, list[np.ndarray]] = {}
    change, count = 0.0, 0
    for x, label in test.batches(batch_size):
        target = target_labels(label, len(model.labels), count)
        reconstructed, transferred = model.reconstruct(x, label), model.transfer(x, label, target)
        statistics_replaced = condition.after_decoder(condition.before_encoder(x, label), target)
        over_windows.add(x)
        change += float((reconstructed - transferred).square().flatten(1).mean(1).sum())
        count += len(x)
        moved = features(transferred)
        for name, rows, expected in (
            ("transfer_accuracy", moved, target),
            ("transfer_source", moved, label),
            ("transfer_statistics", features(statistics_replaced), target),
            ("transfer_real", features(x), label),
            ("transfer_reconstruction", features(reconstructed), label),
        ):
            is_finite = np.isfinite(rows).all(axis=1)
            is_hit = probe.predict(np.where(is_finite[:, None], rows, 0)) == expected.cpu().numpy()
            hits.setdefault(name, []).append(np.where(is_finite, is_hit, np.nan))
    windows = {name: np.concatenate(parts) for name, parts in hits.items()}
    relative_change = change / count / max(over_windows.variance(), MIN_VARIANCE)
    return ProbeScores(windows, {"transfer_chance": 1 / len(model.labels), "transfer_change": relative_change})
