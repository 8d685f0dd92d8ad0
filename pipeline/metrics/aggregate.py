"""Metrics per window to one mean per variant, with its interval and its deviation over seeds."""

import numpy as np
import pandas as pd

from pipeline.metrics import measures
from pipeline.metrics.bootstrap import mean_over_seeds, nan_mean, track_means
from pipeline.metrics.probe import LINEAR_PROBES

_NAMES = (
    *("mse", "mse_draw", "mse_components", "cosine_similarity", "kl", "elbo", *measures.OWN_SCALE, *measures.WAVEFORM),
    *("mel_mse", *measures.COMMON_MEL, "mel_mse_bass", "mel_mse_middle", "mel_mse_treble", "mel_mse_bandwidth"),
    *(*measures.AUDIO, "audio_visqol", *LINEAR_PROBES, "probe_flat_accuracy", "knn_accuracy"),
    *("transfer_accuracy", "transfer_source", "transfer_statistics", "transfer_real", "transfer_reconstruction"),
)
# Metrics per window, each once. metrics.json has a key for each; null if a variant lacks it.
METRICS = tuple(dict.fromkeys(_NAMES))
# Ranges, in which the bounds of an interval stay: all metrics but SIGNED are at least 0.
SIGNED = ("elbo", "si_sdr", "audio_si_sdr", "cosine_similarity", "mel_cosine_similarity", "probe_tempo_r2")
AT_MOST_ONE = (
    *("cosine_similarity", "mel_cosine_similarity", "out_of_range", *LINEAR_PROBES, "probe_flat_accuracy"),
    *(name for name in METRICS if name == "knn_accuracy" or name.startswith("transfer_")),
)
# Errors of constant predictors; they have no interval.
PREDICTORS = ("mse_mean", "mse_zero", "mel_mse_mean")
KEYS: dict[str, float | None] = dict.fromkeys(
    (*(f"{name}{end}" for name in METRICS for end in ("", "_low", "_high", "_seed_std")), *PREDICTORS)
)


def aggregate(windows: pd.DataFrame, resamples: int) -> dict[str, float | None]:
    """Each metric's mean over tracks and seeds; NaN becomes None.

    Windows are averaged per track, then tracks: a long track weighs as much as a short one. Each metric X also has
    X_low and X_high, a 95 % interval over groups and seeds (see `bootstrap.mean_over_seeds`), and X_seed_std, the
    standard deviation of the seeds' means (None for a single seed). Bounds stay in the range of the metric. `windows`
    has the columns seed, track_id, group and any of METRICS and PREDICTORS.
    """
    names = [name for name in (*METRICS, *PREDICTORS) if name in windows]
    by_seed = [
        track_means(rows[names].to_numpy(float), rows["track_id"].to_numpy(), rows["group"].to_numpy())
        for _, rows in windows.groupby("seed")
    ]
    tracks = np.stack([means for means, _ in by_seed])  # (seeds, tracks, M)
    estimates = mean_over_seeds(tracks, by_seed[0][1], resamples)
    low = np.maximum(estimates.low, [-np.inf if name in SIGNED else 0.0 for name in names])
    high = np.minimum(estimates.high, [1.0 if name in AT_MOST_ONE else np.inf for name in names])
    seed_means = np.stack([nan_mean(means) for means in tracks])
    seed_std = seed_means.std(0, ddof=1) if len(seed_means) > 1 else np.full(len(names), np.nan)
    result: dict[str, float] = {}
    for i, name in enumerate(names):
        result[name] = float(estimates.mean[i])
        if name in METRICS:
            result |= {f"{name}_low": float(low[i]), f"{name}_high": float(high[i])}
            result[f"{name}_seed_std"] = float(seed_std[i])
    return KEYS | {name: value if np.isfinite(value) else None for name, value in result.items()}
