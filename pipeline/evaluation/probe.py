"""Measure whether the latent of a window predicts its label. Two classifiers learn it from train windows."""

from typing import NamedTuple

import numpy as np
import torch

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.evaluation.classifiers import logistic_regression, nearest_neighbours, silhouette, standardiser
from pipeline.models.vae import VAE

MAX_TRAIN_WINDOWS = 4000
NEIGHBOURS = 5
RANK_TOLERANCE = 1e-12  # relative to the largest variance; below it, rounding decides a direction


class LabelScores(NamedTuple):
    """How well a classifier predicts labels."""

    windows: dict[str, np.ndarray]  # metric -> (test windows,): 1 if correct, else 0; NaN if not defined
    numbers: dict[str, float | None]  # metrics of the whole test split


def score(
    model: VAE, train: Split, test: Split, batch_size: int, device: torch.device, test_means: np.ndarray
) -> LabelScores:
    """Probe the posterior means of a model, which is on `device`; `test_means` are (test windows, latent_dims).

    The probes learn from at most 4,000 windows of `train`, evenly spaced, and predict the labels of all test windows.

    A conditional model encodes with the label "not known", the test windows too. With the true label, its condition
    would subtract that label's statistics, and the latent of a window would show which ones.
    """
    loader = window_loader(train, device)
    train_index = evenly_spaced(len(loader), MAX_TRAIN_WINDOWS)
    if model.condition is not None:
        test_means = posterior_means(model, window_loader(test, device), torch.arange(len(test)), batch_size)
    train_labels = train.labels[loader.row[train_index].numpy()]
    return probe(posterior_means(model, loader, train_index, batch_size), train_labels, test_means, test.labels)


@torch.no_grad()
def posterior_means(model: VAE, loader: WindowLoader, index: torch.Tensor, batch_size: int) -> np.ndarray:
    """(N, latent_dims) posterior means of the windows at `index` (N,), encoded without a label."""
    parts = [model.encode(loader.batch(rows).x).mean.cpu() for rows in index.split(batch_size)]
    means: np.ndarray = torch.cat(parts).numpy()
    return means


def probe(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> LabelScores:
    """Learn labels from the latents `train` and predict the labels of `test`, both (rows, D).

    All three scores use latents standardised by the train rows, without dimensions that do not vary. A latent that is a
    sequence is flattened, so it predicts a label only by values at the same position of every window. Codes of a
    waveform follow its phase, so they hardly predict labels.

    The accuracies are NaN without a latent, with a single label in training, or with latents that are not finite.

    - probe_accuracy: multinomial logistic regression with scikit-learn's penalty (L2, C = 1), a linear probe.
    - knn_accuracy: vote of the five nearest train rows.
    - silhouette: mean over the test rows of (b - a) / max(a, b), a the mean distance to rows of the same label, b to
      rows of the nearest other label (Rousseeuw 1987); from -1 to 1. None with fewer than two labels, or with as many
      labels as rows.
    """
    train_labels, test_labels = train_labels.astype(str), test_labels.astype(str)
    undefined = np.full(len(test), np.nan)
    windows = {"probe_accuracy": undefined, "knn_accuracy": undefined}
    numbers: dict[str, float | None] = {"silhouette": None}
    if not train.shape[1] or not (np.isfinite(train).all() and np.isfinite(test).all()):
        return LabelScores(windows, numbers)
    standardise = standardiser(train)
    train, test = standardise(train), standardise(test)
    if 2 <= len(set(test_labels)) < len(test):
        numbers["silhouette"] = silhouette(test, test_labels)
    if len(set(train_labels)) >= 2:
        train, test = project_to_span(train, test)
        for name, predict in (
            ("probe_accuracy", logistic_regression(train, train_labels)),
            ("knn_accuracy", nearest_neighbours(train, train_labels, NEIGHBOURS)),
        ):
            windows[name] = (predict(test) == test_labels).astype(np.float64)
    return LabelScores(windows, numbers)


def project_to_span(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project both onto the span of the train rows if that is smaller; the basis is orthonormal.

    Neither probe changes: the weights of a regression with an L2 penalty lie in the span, and the part of a test row
    outside the span adds the same to its distance from every train row. But 1,900 numbers of 500 windows become 500.
    """
    if train.shape[1] <= len(train):
        return train, test
    values, vectors = np.linalg.eigh(train @ train.T)
    if values[-1] < RANK_TOLERANCE:  # all train rows are equal, as with a codebook that collapsed to one code
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    significant = values > RANK_TOLERANCE * values[-1]
    basis = train.T @ (vectors[:, significant] / np.sqrt(values[significant]))
    return train @ basis, test @ basis
