"""Aggregates scores of windows and seeds to metrics.json of a variant."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.aggregate import aggregate
from pipeline.metrics.pca import kbps
from pipeline.metrics.probe import CHANCES
from pipeline.models import collapse

# Numbers of each seed. A variant that cannot have one has null: most need a certain bottleneck, kind or condition.
SEED_NUMBERS = (
    *("active_units", "active_share", "active_units_z1", "active_units_z2", "active_share_z1", "active_share_z2"),
    *("perplexity", "perplexity_share", "variance_ratio", "latent_std"),
    *("dims_80", "dims_90", "dims_95", "dims_99", "silhouette", *CHANCES.values()),
    *("frechet_reconstructions", "frechet_samples", "frechet_floor", "kernel_audio_distance"),
    *("sample_variance_ratio", "sample_time_ratio", "sample_level_db"),
    *("interpolation_smoothness", "interpolation_smoothness_slerp"),
    *("transfer_chance", "transfer_change"),
)


def variant_metrics(
    windows: pd.DataFrame, seeds: list[dict[str, Any]], model: Mapping[str, Any], resamples: int
) -> dict[str, Any]:
    """metrics.json of a variant; kbps is its KL in kbit/s.

    Args:
        windows: rows of windows.parquet of all seeds, with the columns of `aggregate.PREDICTORS`.
        seeds: "seed" and any of `SEED_NUMBERS`; the result has the mean over seeds, or None if one seed has none.
        model: latent_dims, parameters, probe_pooled, bandwidth_hz, seconds (of a window) and baseline. A baseline has
            null for collapsed.
        resamples: of the bootstrap.
    """
    metrics: dict[str, Any] = aggregate(windows, resamples) | dict.fromkeys(SEED_NUMBERS)
    for name in seeds[0].keys() - {"seed"}:
        value = np.mean([np.array(numbers[name], float) for numbers in seeds])
        metrics[name] = None if np.isnan(value) else float(value)
    for end in ("", "_low", "_high"):
        nats = metrics[f"kl{end}"]
        metrics[f"kbps{end}"] = None if nats is None else kbps(nats, model["seconds"])
    kl = windows.groupby("seed")["kl"].mean()
    collapse_reason = _join({s["seed"]: collapse.why_collapsed(s | {"kl": kl[s["seed"]]}) for s in seeds})
    flat_reason = _join({s["seed"]: collapse.why_flat(s) for s in seeds})
    return metrics | {
        **model,
        "collapsed": None if model["baseline"] else collapse_reason is not None,
        "collapse_reason": None if model["baseline"] else collapse_reason,
        "samples_flat": flat_reason is not None if "sample_variance_ratio" in seeds[0] else None,
        "samples_flat_reason": flat_reason,
        "tracks": int(windows["track_id"].nunique()),
        "groups": int(windows["group"].nunique()),
        "windows": int(windows["window_id"].nunique()),
        "seeds": [numbers["seed"] for numbers in seeds],
    }


def _join(reasons: dict[int, str | None]) -> str | None:
    """The reasons of all seeds in one text, which names the seeds if there are several."""
    named = [f"seed {seed}: {reason}" if len(reasons) > 1 else reason for seed, reason in reasons.items() if reason]
    return "; ".join(named) or None


def summary_line(metrics: Mapping[str, Any]) -> str:
    """The main values of metrics.json in a line."""
    if metrics["mse"] is None:
        return f"the reconstructions are not finite; COLLAPSED: {metrics['collapse_reason']}"
    parts = [
        f"test mse {metrics['mse']:.5f} (train mean {metrics['mse_mean']:.5f}, zero {metrics['mse_zero']:.5f})",
        f"cosine {metrics['cosine_similarity']:.3f}",
        f"common mel mse {metrics['mel_mse']:.5f}",
    ]
    if metrics["kl"] is not None:
        parts.append(f"kl {metrics['kl']:.1f} nats")
    collapsed = f"; COLLAPSED: {metrics['collapse_reason']}" if metrics["collapsed"] else ""
    flat = f"; SAMPLES FLAT: {metrics['samples_flat_reason']}" if metrics["samples_flat"] else ""
    return ", ".join(parts) + collapsed + flat
