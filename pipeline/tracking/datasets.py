"""The splits of a representation as the datasets of a run in MLflow."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.dataset.split import Split

CONTEXTS = {"train": "training", "valid": "validation", "test": "test"}  # MLflow's usual names


def describe_datasets(folder: Path, stats: dict[str, Any], splits: dict[str, Split]) -> list[dict[str, Any]]:
    """The splits of a representation as JSON data, for `Run.log_datasets`.

    Args:
        folder: the representation's folder, relative to the project, since a run must not name a temporary workspace.
        stats: stats.json of the representation.
        splits: some of train, valid and test.
    """
    descriptions = []
    for name, split in splits.items():
        shards = {shard: digest for shard, digest in stats["shards"].items() if shard.startswith(f"{name}-")}
        window_counts = [1] * len(split.labels) if split.windows is None else split.windows.tolist()
        labels: Counter[str] = Counter()
        for label, count in zip(split.labels.tolist(), window_counts, strict=True):
            labels[str(label)] += count
        descriptions.append(
            {
                "name": folder.name,
                "digest": workspace.fingerprint(shards),
                "context": CONTEXTS[name],
                "source": folder.as_posix(),
                "dtype": "float16" if split.kind == "mel" else "int16",
                "shape": list(split.shape),
                "profile": {
                    "num_rows": len(split),
                    "seconds": stats["seconds"],
                    "recordings": len(set(split.track_ids.tolist())),
                    "labels": dict(sorted(labels.items())),
                },
            }
        )
    return descriptions
