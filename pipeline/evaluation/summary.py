"""From metrics per window to one row per variant."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.training import collapse

METRICS = ("mse", "cosine_similarity", "kl", "elbo")
# What just some variants have: with a codebook or without, of waveforms, with a condition.
OF_SOME = (
    *("active_units", "active_share", "active_units_z1", "active_units_z2", "active_share_z1", "active_share_z2"),
    *("perplexity", "perplexity_share", "variance_ratio", "sample_variance_ratio", "sample_time_ratio"),
    *("sample_level_db", "transfer_statistics"),
    *("transfer_accuracy", "transfer_source", "transfer_chance", "transfer_change"),
    *("probe_accuracy", "probe_reconstruction"),
)


def per_track(windows: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Mean of each metric over a track's windows, then over seeds: a row per track, so that long ones weigh no more."""
    by_seed = windows.groupby(["track_id", "seed"], sort=True)[metrics].mean()
    return by_seed.groupby("track_id", sort=True).mean()


def interval(values: np.ndarray, resamples: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of (tracks,) values; the draw is fixed."""
    picks = np.random.default_rng(0).integers(0, len(values), (resamples, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def summarise(windows: pd.DataFrame, resamples: int) -> dict[str, float | None]:
    """Each metric's mean over tracks and seeds, with `_low` and `_high`; the two baselines' mean. NaN becomes None.

    Args:
        windows: windows.parquet of a variant, with mse_mean and mse_zero.
        resamples: of the bootstrap over tracks.
    """
    tracks = per_track(windows, [*METRICS, "mse_mean", "mse_zero"])
    result = {str(name): float(column.mean()) for name, column in tracks.items()}
    for name in METRICS:
        result[f"{name}_low"], result[f"{name}_high"] = interval(tracks[name].to_numpy(), resamples)
    return {name: None if np.isnan(value) else value for name, value in result.items()}


def metrics(
    windows: pd.DataFrame,
    seeds: list[dict[str, Any]],
    latent_dims: int,
    parameters: int,
    resamples: int,
    baseline: bool = False,
) -> dict[str, Any]:
    """metrics.json of a variant.

    Args:
        windows: all seeds' rows of windows.parquet.
        seeds: for each seed "seed" and what `collapse.Use.numbers`, `generation.score` and `transfer.score` found; the
            means over seeds are kept.
        latent_dims: of the model.
        parameters: of the model.
        resamples: of the bootstrap.
        baseline: whether it is one, which is neither collapsed nor not.
    """
    result: dict[str, Any] = summarise(windows, resamples)
    for name in seeds[0].keys() - {"seed"}:
        result[name] = float(np.mean([s[name] for s in seeds]))
    nats = windows.groupby("seed")["kl"].mean()
    reason = _told({s["seed"]: collapse.reason(s | {"kl": nats[s["seed"]]}) for s in seeds})
    flat = _told({s["seed"]: collapse.flat(s) for s in seeds})
    return (
        dict.fromkeys(OF_SOME)
        | result
        | {
            "latent_dims": latent_dims,
            "parameters": parameters,
            "baseline": baseline,
            "collapsed": None if baseline else reason is not None,
            "collapse_reason": None if baseline else reason,
            "samples_flat": flat is not None if "sample_variance_ratio" in seeds[0] else None,
            "samples_flat_reason": flat,
            "tracks": int(windows["track_id"].nunique()),
            "windows": int(windows["window_id"].nunique()),
            "seeds": [s["seed"] for s in seeds],
        }
    )


def _told(reasons: dict[int, str | None]) -> str | None:
    """Why, of all seeds; each is named where there are several."""
    found = [f"seed {seed}: {why}" if len(reasons) > 1 else why for seed, why in reasons.items() if why]
    return "; ".join(found) or None
