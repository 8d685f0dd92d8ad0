"""What numbers and settings are called in MLflow, whose pages group by what stands before a slash or dot."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

# Of a model's description: what tags say, what other settings say, or what no setting decides.
UNLISTED = ("variant", "seed", "kind", "labels", "stats", "parameters", "latent_dims", "input", "seconds", "train")
# Of training: how it runs on a machine. The model's config.json has these too.
MACHINE = ("channels_last", "compile", "deterministic", "devices", "order", "resident_gib", "snapshots")

# Of an epoch: worth a chart only where they are not zero.
ODD = ("collapsed", "first_step_seconds", "skipped_steps")


def of_epoch(row: Mapping[str, float]) -> dict[str, float]:
    """A row of history.csv as metrics: train/<term>, valid/<term>, and epoch/<name> for everything else."""
    found = {}
    for key, value in row.items():
        if key == "epoch" or not isfinite(value) or (key in ODD and not value):
            continue
        side, _, term = key.partition("_")
        found[f"{side}/{term}" if side in ("train", "valid") else f"epoch/{key}"] = float(value)
    return found


def of_test(results: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a metrics.json as metrics: test/<metric>."""
    return {f"test/{key}": float(value) for key, value in results.items() if isinstance(value, int | float)}


def settings(described: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a model described as in config.json, under the keys that its variant has in params.yaml.

    Left out is what has no effect on it: settings of a plateau without one, of cycles, of free bits.
    """
    train = {key: value for key, value in (described["train"] or {}).items() if key not in MACHINE}
    if train.get("schedule") != "plateau":
        train.pop("plateau", None)
    loss = dict(described["loss"] or {})
    kl = dict(loss.get("kl") or {})
    for key, works in (("cycles", kl.get("schedule") == "cyclical"), ("free_bits_per", kl.get("free_bits"))):
        if not works:
            kl.pop(key, None)
    return {
        **{key: value for key, value in described.items() if key not in UNLISTED},
        "loss": {**loss, "kl": kl},
        "train": train,
        "representation": {"name": described["input"], **described["representation"]},
        "windows": {"seconds": described["seconds"]},
    }
