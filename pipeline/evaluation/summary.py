"""From metrics per window, and numbers per seed, to one row per variant."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.aggregate import aggregate
from pipeline.models import collapse

# Numbers per seed. What a variant cannot have is null: with a codebook or without, of waveforms, with a condition.
OF_SEEDS = (
    *("active_units", "active_share", "active_units_z1", "active_units_z2", "active_share_z1", "active_share_z2"),
    *("perplexity", "perplexity_share", "variance_ratio", "latent_std"),
    *("dims_80", "dims_90", "dims_95", "dims_99", "silhouette"),
    *("frechet_reconstructions", "frechet_samples", "frechet_floor", "frechet_audio"),
    *("sample_variance_ratio", "sample_time_ratio", "sample_level_db"),
    *("interpolation_smoothness", "interpolation_smoothness_slerp"),
    *("transfer_chance", "transfer_change"),
)


def tracks(windows: pd.DataFrame) -> dict[str, list[Any]]:
    """What two variants are compared by, recording by recording: track_id, group, mse and mel_mse; None for NaN."""
    found = windows.groupby("track_id", as_index=False).agg({"group": "first", "mse": "mean", "mel_mse": "mean"})
    plain = found.astype(object).where(found.notna(), None)
    return {str(name): plain[name].tolist() for name in plain}


def metrics(
    windows: pd.DataFrame, seeds: list[dict[str, Any]], about: Mapping[str, Any], resamples: int
) -> dict[str, Any]:
    """metrics.json of a variant.

    Args:
        windows: all seeds' rows of windows.parquet, with the columns of `aggregate.PREDICTORS`.
        seeds: for each seed "seed" and any of `OF_SEEDS`; the means over seeds are kept, None where one seed has none.
        about: latent_dims, parameters, reach_hz, and baseline: whether it is one, which is neither collapsed nor not.
        resamples: of the bootstrap.
    """
    result: dict[str, Any] = aggregate(windows, resamples) | dict.fromkeys(OF_SEEDS)
    for name in seeds[0].keys() - {"seed"}:
        value = np.mean([np.array(s[name], float) for s in seeds])
        result[name] = None if np.isnan(value) else float(value)
    nats = windows.groupby("seed")["kl"].mean()
    reason = _told({s["seed"]: collapse.reason(s | {"kl": nats[s["seed"]]}) for s in seeds})
    flat = _told({s["seed"]: collapse.flat(s) for s in seeds})
    labels = windows.drop_duplicates("track_id")["label"]  # recordings weigh alike, as in the accuracies
    return result | {
        **about,
        "collapsed": None if about["baseline"] else reason is not None,
        "collapse_reason": None if about["baseline"] else reason,
        "samples_flat": flat is not None if "sample_variance_ratio" in seeds[0] else None,
        "samples_flat_reason": flat,
        "chance": float(labels.value_counts(normalize=True).max()),
        "tracks": int(windows["track_id"].nunique()),
        "groups": int(windows["group"].nunique()),
        "windows": int(windows["window_id"].nunique()),
        "seeds": [s["seed"] for s in seeds],
    }


def _told(reasons: dict[int, str | None]) -> str | None:
    """Why, of all seeds; each is named where there are several."""
    found = [f"seed {seed}: {why}" if len(reasons) > 1 else why for seed, why in reasons.items() if why]
    return "; ".join(found) or None


def line(result: Mapping[str, Any]) -> str:
    """metrics.json in a line."""
    if result["mse"] is None:
        return f"the reconstructions are no numbers; COLLAPSED: {result['collapse_reason']}"
    parts = [
        f"test mse {result['mse']:.5f} (train mean {result['mse_mean']:.5f}, zero {result['mse_zero']:.5f})",
        f"cosine {result['cosine_similarity']:.3f}",
        f"common mel mse {result['mel_mse']:.5f}",
    ]
    if result["kl"] is not None:
        parts.append(f"kl {result['kl']:.1f} nats")
    if result["perplexity"] is not None:
        parts.append(f"perplexity {result['perplexity_share']:.0%} of the codebook")
    elif result["active_units"] is not None:
        parts.append(f"{result['active_units']:g} of {result['latent_dims']} units active")
    if result["probe_accuracy"] is not None:
        parts.append(f"probe {result['probe_accuracy']:.0%} (chance {result['chance']:.0%})")
    if result["transfer_accuracy"] is not None:
        parts.append(f"transfer {result['transfer_accuracy']:.0%} (chance {result['transfer_chance']:.0%})")
    collapsed = f"; COLLAPSED: {result['collapse_reason']}" if result["collapsed"] else ""
    flat = f"; SAMPLES FLAT: {result['samples_flat_reason']}" if result["samples_flat"] else ""
    return ", ".join(parts) + collapsed + flat
