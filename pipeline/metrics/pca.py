"""The errors of PCA with fewer components, from those with all and the coordinates on them."""

from math import prod

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


def pca_sizes_table(errors: np.ndarray, track_ids: np.ndarray, groups: np.ndarray, resamples: int) -> pd.DataFrame:
    """sizes.parquet: latent, mse, mse_low and mse_high, the mean over tracks and its 95 % bootstrap interval.

    `errors` come from `pca_errors`; the bootstrap draws the same groups (windows,) for every size.
    """
    mse = bootstrap_mean(*track_means(errors, track_ids, groups), resamples)
    columns = {"latent": np.arange(errors.shape[1]), "mse": mse.mean, "mse_low": mse.low, "mse_high": mse.high}
    return pd.DataFrame(columns)
