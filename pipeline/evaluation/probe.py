"""Does the latent of a window tell its label? Judged by classifiers that learn from train windows alone."""

from typing import NamedTuple

import numpy as np
import torch

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.models.vae import VAE

WINDOWS = 4000  # of the train split, at most, evenly spread
NEIGHBOURS = 5
LEAST = 1e-12  # share of the largest variance below which rounding decides a direction


class Probed(NamedTuple):
    """What the probes found.

    Attributes:
        windows: probe_accuracy and knn_accuracy, (test windows,) each: 1 where the window is named rightly, else 0. All
            NaN where there is nothing to tell: no latent, a single label in training, or latents that are no numbers.
        numbers: silhouette; None where it has no meaning.
    """

    windows: dict[str, np.ndarray]
    numbers: dict[str, float | None]


def score(
    model: VAE, train: Split, test: Split, batch_size: int, device: torch.device, known: np.ndarray | None = None
) -> Probed:
    """Probe the posterior means of a model.

    They are taken without the label: a variant with a condition is told "not known", since what it is told is in its
    latent. (With the label, the statistics of the other labels that are taken off a window would name it.)

    Args:
        model: in evaluation mode, on `device`.
        train: windows that the probes learn from, at most 4,000 of them, evenly spread.
        test: windows that they name.
        batch_size: of the encoder.
        device: where it runs.
        known: (test windows, latent_dims) posterior means, if there are some already; a model with a condition does not
            use them.
    """
    data = window_loader(train, device)
    shown = evenly_spaced(len(data), WINDOWS)
    if known is None or model.condition is not None:
        known = means(model, window_loader(test, device), torch.arange(len(test)), batch_size)
    labels = train.labels[data.row[shown].numpy()]
    return probe(means(model, data, shown, batch_size), labels, known, test.labels)


@torch.no_grad()
def means(model: VAE, data: WindowLoader, index: torch.Tensor, batch_size: int) -> np.ndarray:
    """(N, latent_dims) posterior means of the windows at `index` (N,), of no known label."""
    parts = [model.encode(data.batch(rows).x).mean.cpu() for rows in index.split(batch_size)]
    found: np.ndarray = torch.cat(parts).numpy()
    return found


def probe(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> Probed:
    """Name the rows of `test` by what can be learnt from `train`, both (rows, D), and see how they lie by label.

    All three look at latents standardised by the train rows, a dimension that does not vary left out of account. A
    latent that is a sequence is taken as it is, so that it tells a label only by what lies at the same place in all
    windows: codes of a waveform, which follow its phase, hardly do.

    - probe_accuracy: of a multinomial logistic regression with scikit-learn's penalty (L2, C = 1), a linear probe.
    - knn_accuracy: of a vote of the five nearest train rows.
    - silhouette: mean over the test rows of (b - a) / max(a, b), a the mean distance to rows of the same label, b to
        those of the nearest other one (Rousseeuw 1987); from -1 to 1. None with fewer than two labels or with as many
        labels as rows.
    """
    from sklearn.linear_model import LogisticRegression  # takes two seconds
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    train_labels, test_labels = train_labels.astype(str), test_labels.astype(str)
    unknown = np.full(len(test), np.nan)
    windows = {"probe_accuracy": unknown, "knn_accuracy": unknown}
    numbers: dict[str, float | None] = {"silhouette": None}
    if not train.shape[1] or not (np.isfinite(train).all() and np.isfinite(test).all()):
        return Probed(windows, numbers)
    scaler = StandardScaler().fit(train.astype(np.float64))
    known, unseen = scaler.transform(train.astype(np.float64)), scaler.transform(test.astype(np.float64))
    if 2 <= len(set(test_labels)) < len(test):
        numbers["silhouette"] = float(silhouette_score(unseen, test_labels))
    if len(set(train_labels)) >= 2:
        known, unseen = spanned(known, unseen)
        for name, classifier in (
            ("probe_accuracy", LogisticRegression(max_iter=1000)),
            ("knn_accuracy", KNeighborsClassifier(min(NEIGHBOURS, len(known)))),
        ):
            said = classifier.fit(known, train_labels).predict(unseen)
            windows[name] = (said == test_labels).astype(np.float64)
    return Probed(windows, numbers)


def spanned(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in coordinates on an orthonormal basis of what the train rows span, where that has fewer dimensions.

    Neither probe changes by it: the weights of a regression with an L2 penalty lie in the span, and what a test row has
    outside of it is the same distance from all train rows. But 1,900 numbers of 500 windows become 500.
    """
    if train.shape[1] <= len(train):
        return train, test
    values, vectors = np.linalg.eigh(train @ train.T)
    if values[-1] < LEAST:  # all train rows are one point, as where a codebook has collapsed to one code
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    kept = values > LEAST * values[-1]
    basis = train.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return train @ basis, test @ basis
