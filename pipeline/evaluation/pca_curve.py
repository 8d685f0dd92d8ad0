"""The error of PCA at every number of its components, from one pass over the test windows."""

from math import prod

import numpy as np
import pandas as pd

from pipeline.dataset.split import Split
from pipeline.evaluation.reconstruction import Scores
from pipeline.metrics.bootstrap import estimate, per_track


def errors(scores: Scores, test: Split) -> np.ndarray:
    """(windows, K + 1) mean squared errors with 0, 1, ... K components.

    The components are orthonormal: leaving one out adds the square of the window's coordinate on it.
    """
    squares = np.square(scores.latents, dtype=np.float64) / prod(test.shape)
    missing = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    return scores.windows["mse"][:, None] + np.pad(missing, ((0, 0), (0, 1)))


def table(errors: np.ndarray, track_ids: np.ndarray, groups: np.ndarray, resamples: int) -> pd.DataFrame:
    """sizes.parquet: latent, mse, mse_low and mse_high, the mean over tracks and its 95 % bootstrap interval.

    Args:
        errors: (windows, sizes).
        track_ids: (windows,).
        groups: (windows,) what is drawn, the same for every size.
        resamples: number of draws.
    """
    found = estimate(*per_track(errors, track_ids, groups), resamples)
    return pd.DataFrame(
        {"latent": np.arange(errors.shape[1]), "mse": found.mean, "mse_low": found.low, "mse_high": found.high}
    )
