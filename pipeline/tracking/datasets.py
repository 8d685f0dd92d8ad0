"""The splits of a representation as the datasets of a run in MLflow."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.dataset.split import Split

CONTEXTS = {"train": "training", "valid": "validation", "test": "test"}  # MLflow's usual names


def describe_datasets(folder: Path, stats: dict[str, Any], splits: dict[str, Split]) -> list[dict[str, Any]]:
    """The splits of a representation for `Run.log_datasets`: the context and the fields of MLflow's Dataset.

    `folder` is the representation's, relative to the project, since a run must not name a temporary workspace.
    """
    descriptions = []
    for name, split in splits.items():
        shards = {shard: digest for shard, digest in stats["shards"].items() if shard.startswith(f"{name}-")}
        window_counts = [1] * len(split.labels) if split.windows is None else split.windows.tolist()
        labels: Counter[str] = Counter()
        for label, count in zip(split.labels.tolist(), window_counts, strict=True):
            labels[str(label)] += count
        spec = {"dtype": "float16" if split.kind == "mel" else "int16", "shape": [-1, *split.shape]}
        features = json.dumps([{"type": "tensor", "tensor-spec": spec}])
        profile = {
            "num_rows": len(split),
            "seconds": stats["seconds"],
            "recordings": len(set(split.track_ids.tolist())),
            "labels": dict(sorted(labels.items())),
        }
        dataset = {
            "name": folder.name,
            "digest": workspace.fingerprint(shards),
            "source_type": "local",
            "source": json.dumps({"uri": folder.as_posix()}),
            "schema": json.dumps({"mlflow_tensorspec": {"features": features, "targets": None}}),
            "profile": json.dumps(profile),
        }
        descriptions.append({"context": CONTEXTS[name], "dataset": dataset})
    return descriptions
