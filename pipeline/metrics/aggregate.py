"""From metrics per window to one number per variant, with its interval and how much it depends on the seed."""

import numpy as np
import pandas as pd

from pipeline.metrics.bootstrap import estimate, per_track

# Every metric that windows.parquet may hold; metrics.json has each, null where a variant has none.
METRICS = (
    *("mse", "cosine_similarity", "kl", "elbo", "out_of_range"),
    *("si_sdr", "stft_distance", "log_spectral_distance"),
    *("mel_mse", "mel_cosine_similarity", "mel_log_spectral_distance"),
    *("mel_mse_bass", "mel_mse_middle", "mel_mse_treble", "mel_mse_reach"),
    *("audio_stft_distance", "audio_log_spectral_distance"),
    *("probe_accuracy", "knn_accuracy"),
    *("transfer_accuracy", "transfer_source", "transfer_statistics", "transfer_real", "transfer_reconstruction"),
)
# Of predictors that see nothing: just their means.
PREDICTORS = ("mse_mean", "mse_zero", "mel_mse_mean")
KEYS: dict[str, float | None] = dict.fromkeys(
    (*(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high", "_seed_std")), *PREDICTORS)
)


def aggregate(windows: pd.DataFrame, resamples: int) -> dict[str, float | None]:
    """Each metric's mean over tracks and seeds; NaN becomes None.

    A window counts for its track, a track for the mean: long recordings weigh no more than short ones. With X come
    X_low and X_high, a 95 % interval (see `bootstrap.estimate`) that says how much it would be another with other
    recordings, and X_seed_std, the standard deviation over seeds of their means, which a single seed has not.

    Args:
        windows: seed, track_id, group and any of `METRICS` and `PREDICTORS`.
        resamples: of the bootstrap.
    """
    names = [name for name in (*METRICS, *PREDICTORS) if name in windows]
    by_seed = [
        per_track(rows[names].to_numpy(float), rows["track_id"].to_numpy(), rows["group"].to_numpy())
        for _, rows in windows.groupby("seed")
    ]
    tracks = np.stack([of_seed for of_seed, _ in by_seed])
    found = estimate(tracks.mean(0), by_seed[0][1], resamples)  # NaN in one seed stays NaN
    seeds = np.stack([mean(of_seed) for of_seed in tracks])
    spread = seeds.std(0, ddof=1) if len(seeds) > 1 else np.full(len(names), np.nan)
    result: dict[str, float] = {}
    for i, name in enumerate(names):
        result[name] = float(found.mean[i])
        if name in METRICS:
            result |= {f"{name}_low": float(found.low[i]), f"{name}_high": float(found.high[i])}
            result[f"{name}_seed_std"] = float(spread[i])
    return KEYS | {name: value if np.isfinite(value) else None for name, value in result.items()}


def mean(tracks: np.ndarray) -> np.ndarray:
    """(M,) of the rows of (tracks, M) that are not NaN; NaN where all are."""
    known = ~np.isnan(tracks)
    total, count = np.where(known, tracks, 0).sum(0), known.sum(0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
