"""The ceiling of a representation: its true test windows, scored as a perfect reconstruction would be."""

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
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import read_reference

BATCH_SIZE = 64


def write_ceiling(
    folder: Path, out: Path, cache: Path, representation: RepresentationConfig, settings: EvaluateConfig
) -> None:
    """Write metrics.json, windows.parquet, bands.parquet and examples.parquet into the new folder `out`.

    Raises:
        DataError: the reference in `folder` is of other windows than the representation in `cache`.
    """
    test = read_split(cache, "test")
    reference = read_reference(folder, test)
    scorer = CommonScorer(reference, representation, read_stats(cache)["seconds"], settings.griffin_lim_iterations)
    for rows in np.array_split(np.arange(len(test)), -(-len(test) // BATCH_SIZE)):
        stored = torch.from_numpy(test.values[rows]).float()
        scorer.add(to_unit(stored, test.kind), None if test.peak_db is None else test.peak_db[rows])
    scores = scorer.finish()
    table = reference.score_table().assign(**scores.windows)
    out.mkdir(parents=True)
    bands = scorer.bands.table(scores.errors, reference.mean_error, table["track_id"].to_numpy())
    bands.to_parquet(out / "bands.parquet", index=False)
    table.to_parquet(out / "windows.parquet", index=False)
    embed = embedding.load(settings.embedding, reference.mel_config.sample_rate)
    metrics = {
        **aggregate(table.assign(seed=0), settings.bootstrap),
        **embedding.score(embed, scores.audio, reference.audio),
        "ceiling": True,
        "reach_hz": scorer.bands.reach_hz,
        "tracks": table["track_id"].nunique(),
        "groups": table["group"].nunique(),
        "windows": len(table),
    }
    workspace.write_json(out / "metrics.json", metrics)
    reference.write_examples(out / "examples.parquet", scores.audio)
