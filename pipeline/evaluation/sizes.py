"""The error of PCA at every number of its components, from one pass over the test windows."""

from math import prod

import numpy as np
import pandas as pd

from pipeline.cache.reader import Split
from pipeline.evaluation.protocol import Scores


def errors(scores: Scores, test: Split) -> np.ndarray:
    """(windows, K + 1) mean squared errors with 0, 1, ... K components.

    The components are orthonormal: leaving one out adds the square of the window's coordinate on it.
    """
    squares = np.square(scores.latents, dtype=np.float64) / prod(test.shape)
    missing = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]
    return scores.windows["mse"][:, None] + np.pad(missing, ((0, 0), (0, 1)))


def table(errors: np.ndarray, track_ids: np.ndarray, resamples: int) -> pd.DataFrame:
    """sizes.parquet: latent, mse, mse_low and mse_high, the mean over tracks and its 95 % bootstrap interval.

    Args:
        errors: (windows, sizes).
        track_ids: (windows,).
        resamples: of the tracks, the same for every size.
    """
    tracks = pd.DataFrame(errors).groupby(track_ids).mean().to_numpy()
    picks = np.random.default_rng(0).integers(0, len(tracks), (resamples, len(tracks)))
    share = np.stack([np.bincount(pick, minlength=len(tracks)) for pick in picks]) / len(tracks)
    low, high = np.percentile(share @ tracks, [2.5, 97.5], axis=0)
    return pd.DataFrame({"latent": np.arange(tracks.shape[1]), "mse": tracks.mean(0), "mse_low": low, "mse_high": high})
