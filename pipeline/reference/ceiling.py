"""Ceilings: what a representation loses without any model."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import read_split, read_stats
from pipeline.metrics.config import EvaluateConfig
from pipeline.metrics.probe import MAX_TRAIN_WINDOWS, probe, read_rows, statistics
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import read_reference
from pipeline.reference.row import write_row

BATCH_SIZE = 64


def write_ceiling(
    folder: Path,
    out: Path,
    cache: Path,
    tracks: pd.DataFrame,
    representation: RepresentationConfig,
    settings: EvaluateConfig,
    inversion: Inversion | None,
) -> None:
    """Score the true test windows of a representation as a perfect reconstruction would be.

    Its probes get the `statistics` of the true windows, where those of a variant get latents. Write the files of
    `write_row`, bands.parquet and examples.parquet into the new folder `out`.

    Raises:
        DataError: the reference in `folder` is of other windows than the representation in `cache`.
    """
    test = read_split(cache, "test")
    reference = read_reference(folder, test.window_ids)
    seconds = read_stats(cache)["seconds"]
    scorer = CommonScorer(reference, representation, seconds, inversion, settings)
    for rows in np.array_split(np.arange(len(test)), -(-len(test) // BATCH_SIZE)):
        stored = torch.from_numpy(test.values[rows]).float()
        scorer.add(to_unit(stored, test.kind), None if test.peak_db is None else test.peak_db[rows])
    scores = scorer.finish()
    train_windows, test_windows = (window_loader(s, torch.device("cpu")) for s in (read_split(cache, "train"), test))
    train_rows = read_rows(train_windows, tracks, statistics, settings.batch_size, MAX_TRAIN_WINDOWS)
    probed = probe(train_rows, read_rows(test_windows, tracks, statistics, settings.batch_size))
    numbers = probed.numbers | {"ceiling": True, "bandwidth_hz": scorer.bands.bandwidth_hz}
    write_row(out, reference, scores.windows | probed.windows, scores.audio, settings, **numbers)
    scores.bands.to_parquet(out / "bands.parquet", index=False)
    reference.write_examples(out / "examples.parquet", scores.audio)
