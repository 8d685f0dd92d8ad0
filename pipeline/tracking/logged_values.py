"""Metrics and params as MLflow gets them. Its pages group names by the part before a slash or dot."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from pipeline.core.params import flatten

EPOCH_SECONDS = "epoch/seconds"  # training time; the start and end of a run include the time between its stages
# Keys of config.json that become tags, repeat other settings, or are no settings.
NOT_PARAMS = (
    *("variant", "seed", "fingerprint", "data", "kind", "labels", "stats", "parameters", "latent_dims", "input"),
    *("seconds", "train"),
)
# Keys of `train` that only say how a machine runs the training.
MACHINE = ("channels_last", "compile", "deterministic", "devices", "order", "resident_gib", "snapshots", "threads")
RARE = ("collapsed", "first_step_seconds", "skipped_steps")  # columns that deserve a chart if not zero


def epoch_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """A row of history.csv as train/<term>, valid/<term> and epoch/<other column>, without NaN."""
    metrics = {}
    for key, value in row.items():
        if key == "epoch" or not isfinite(value) or (key in RARE and not value):
            continue
        split, _, term = key.partition("_")
        metrics[f"{split}/{term}" if split in ("train", "valid") else f"epoch/{key}"] = float(value)
    return metrics


def evaluation_metrics(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of metrics.json as test/<metric>."""
    return {f"test/{key}": float(value) for key, value in results.items() if isinstance(value, int | float)}


def format_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as texts under dotted keys, without None and empty lists.

    A list has no brackets: the UI would parse them as JSON and show each element on its own line.
    """
    return {
        key: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for key, value in flatten(values)
        if value not in (None, [])
    }


def variant_params(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a model's config.json, under the keys of params.yaml, without those of the machine."""
    return {
        **{key: value for key, value in config.items() if key not in NOT_PARAMS},
        "train": {key: value for key, value in (config["train"] or {}).items() if key not in MACHINE},
        "representation": {"name": config["input"], **config["representation"]},
        "windows": {"seconds": config["seconds"]},
    }
