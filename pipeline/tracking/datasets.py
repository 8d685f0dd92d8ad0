"""What a run was made from: the splits of a representation as datasets of MLflow."""

from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.dataset.split import Split

CONTEXTS = {"train": "training", "valid": "validation", "test": "test"}  # MLflow's usual names


def describe(place: Path, stats: dict[str, Any], splits: dict[str, Split]) -> list[dict[str, Any]]:
    """The splits as JSON data, for `Run.datasets`.

    Args:
        place: folder of the representation, relative to the project: what a run holds must not name a workspace.
        stats: its stats.json.
        splits: some of train, valid and test.
    """
    found = []
    for name, split in splits.items():
        shards = {shard: digest for shard, digest in stats["shards"].items() if shard.startswith(f"{name}-")}
        counts = [1] * len(split.labels) if split.windows is None else split.windows.tolist()
        labels: Counter[str] = Counter()
        for label, windows in zip(split.labels.tolist(), counts, strict=True):
            labels[str(label)] += windows
        found.append(
            {
                "name": place.name,
                "digest": workspace.fingerprint(shards),
                "context": CONTEXTS[name],
                "source": place.as_posix(),
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
    return found
