"""The errors of PCA with fewer components, from those with all and the coordinates on them."""

from math import log, prod
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.bootstrap import bootstrap_mean, track_means


def pca_errors(mse: np.ndarray, coordinates: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(windows, K + 1) mean squared errors of PCA with 0, 1, ... K components.

    The components are orthonormal: without one, the error grows by the square of the window's coordinate on it.
    `mse` (windows,) are errors with all K components, `coordinates` (windows, K) the latents; `shape` is a window's.
    """
    squares = np.square(coordinates, dtype=np.float64) / prod(shape)
    left_out = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    return mse[:, None] + np.pad(left_out, ((0, 0), (0, 1)))


def rate_distortion_bound(errors: np.ndarray, values: int) -> tuple[np.ndarray, np.ndarray]:
    """The least rate at which a Gaussian source of independent components could be sent with each mean squared error.

    Reverse water-filling over the variances along PCA's components (Cover and Thomas 2006, Elements of Information
    Theory, section 10.3.3): with the water level D, a component of variance v costs max(0, ln(v / D) / 2) nats and
    leaves min(v, D). The variance outside the components stays as an error. The curve ends where the water reaches the
    smallest component, since those beyond it are not known.

    `errors` (K + 1,) are those of PCA with 0, 1, ... K components, `values` is the number of values of a window.

    Returns:
        (points,) nats per window, ascending, and (points,) mean squared errors.
    """
    variances = -np.diff(errors)
    variances = np.sort(variances[variances > 0])[::-1] * values
    number = np.arange(1, len(variances) + 1)  # of components above each water level
    nats = 0.5 * (np.cumsum(np.log(variances)) - number * np.log(variances))
    left = number * variances + variances.sum() - np.cumsum(variances)
    return nats, left / values + errors[-1]


def kbps(nats: Any, seconds: float) -> Any:
    """Nats per window of `seconds` as kbit/s."""
    return nats / log(2) / seconds / 1000


def pca_sizes_table(errors: np.ndarray, track_ids: np.ndarray, groups: np.ndarray, resamples: int) -> pd.DataFrame:
    """sizes.parquet: latent, mse, mse_low and mse_high, the mean over tracks and its 95 % bootstrap interval.

    `errors` come from `pca_errors`; the bootstrap draws the same groups (windows,) for every size.
    """
    mse = bootstrap_mean(*track_means(errors, track_ids, groups), resamples)
    columns = {"latent": np.arange(errors.shape[1]), "mse": mse.mean, "mse_low": mse.low, "mse_high": mse.high}
    return pd.DataFrame(columns)
