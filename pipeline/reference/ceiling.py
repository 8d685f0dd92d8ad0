"""What a representation itself loses: the true window as a model sees it, scored as its reconstruction would be."""

from pathlib import Path

import numpy as np
import torch

from pipeline.audio.representation import RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.core import workspace
from pipeline.dataset.split import read_split, read_stats
from pipeline.metrics import embedding
from pipeline.metrics.aggregate import aggregate
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.common_scores import CommonScores
from pipeline.reference.read import load

BATCH = 64


def write(
    reference: Path, out: Path, cache: Path, representation: RepresentationConfig, settings: EvaluateConfig
) -> None:
    """Make metrics.json, windows.parquet, bands.parquet and examples.parquet in `out`.

    Args:
        reference: the folder of windows.parquet and examples.parquet of the original windows.
        out: a new folder.
        cache: of the representation.
        representation: its settings.
        settings: of the evaluation.

    Raises:
        DataError: the reference is of other windows than the cache.
    """
    test = read_split(cache, "test")
    original = load(reference, test)
    shared = CommonScores(original, representation, read_stats(cache)["seconds"], settings)
    for rows in np.array_split(np.arange(len(test)), -(-len(test) // BATCH)):
        stored = torch.from_numpy(test.values[rows]).float()
        peaks = None if test.peak_db is None else test.peak_db[rows]
        shared.add(to_unit(stored, test.kind), peaks)
    found = shared.finish()
    frame = original.frame().assign(**found.windows)
    out.mkdir(parents=True)
    bands = shared.bands.table(found.errors, original.mean_error, frame["track_id"].to_numpy())
    bands.to_parquet(out / "bands.parquet", index=False)
    frame.to_parquet(out / "windows.parquet", index=False)
    counts = {"tracks": frame["track_id"].nunique(), "groups": frame["group"].nunique(), "windows": len(frame)}
    embed = embedding.load(settings.embedding, settings.mel.sample_rate)
    about = embedding.score(embed, found.audio, original.audio)
    about |= {"ceiling": True, "reach_hz": shared.bands.reach_hz, **counts}
    workspace.write_json(out / "metrics.json", aggregate(frame.assign(seed=0), settings.bootstrap) | about)
    original.save_audio(out / "examples.parquet", found.audio)
