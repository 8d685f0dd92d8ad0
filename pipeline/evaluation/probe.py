"""Probe the latents of a model: what the data know of a window, read out of its posterior mean."""

import numpy as np
import pandas as pd
import torch

from pipeline.dataset.batches import WindowLoader
from pipeline.metrics.bootstrap import nan_mean, track_means
from pipeline.metrics.probe import LINEAR_PROBES, MAX_TRAIN_WINDOWS, ProbeScores, Rows, known_facts, probe, read_rows
from pipeline.models.bottlenecks import Bottleneck
from pipeline.models.vae import VAE


def read_latents(
    model: VAE,
    train: WindowLoader,
    test: WindowLoader,
    tracks: pd.DataFrame,
    batch_size: int,
    test_means: np.ndarray,
) -> tuple[Rows, Rows]:
    """Posterior means of at most 4,000 windows of `train`, evenly spaced, and of all windows of `test`.

    A conditional model encodes with the label "not known", the test windows too. With the true label, its condition
    would subtract that label's statistics, and the latent of a window would show which ones. Otherwise the latents of
    the test windows are `test_means`.

    `tracks` is the table tracks.parquet. DataError if it lacks a recording.
    """

    def read(loader: WindowLoader, most: int | None) -> Rows:
        return read_rows(loader, tracks, lambda x: model.encode(x).mean, batch_size, most)

    test_rows = Rows(test_means, known_facts(test.split, tracks)) if model.condition is None else read(test, None)
    return read(train, MAX_TRAIN_WINDOWS), test_rows


def score(bottleneck: Bottleneck, train: Rows, test: Rows) -> ProbeScores:
    """The scores of `probe`, from latents; for a sequence from its `pooled` latents.

    A sequence follows the phase and the beat: flattened, a number knows something only if its frame does in every
    window. `probe_flat_accuracy` is the accuracy of such a probe of the label, NaN for a vector.
    """
    flat_hits = np.full(len(test.known), np.nan)
    if bottleneck.frames > 1:
        flat_hits = probe(train, test, ["probe_accuracy"]).windows["probe_accuracy"]
        train, test = pooled(bottleneck, train), pooled(bottleneck, test)
    scores = probe(train, test)
    return ProbeScores(scores.windows | {"probe_flat_accuracy": flat_hits}, scores.numbers)


def pooled(bottleneck: Bottleneck, rows: Rows) -> Rows:
    """The mean over frames of each number of a latent, then the standard deviations."""
    frames = bottleneck.by_frame(torch.from_numpy(rows.features)).double()
    return Rows(torch.cat([frames.mean(2), frames.std(2, correction=0)], dim=1).numpy(), rows.known)


def score_sizes(train: Rows, test: Rows) -> pd.DataFrame:
    """latent, and the means over recordings of `LINEAR_PROBES` of the first 1, 2, 4, 8, ... latents."""
    track_ids, groups = (test.known[name].to_numpy(str) for name in ("track_id", "group"))
    sizes = [2**exponent for exponent in range(train.features.shape[1].bit_length())]
    means = np.empty((len(sizes), len(LINEAR_PROBES)))
    for row, size in zip(means, sizes, strict=True):
        first_train, first_test = (Rows(rows.features[:, :size], rows.known) for rows in (train, test))
        windows = probe(first_train, first_test, LINEAR_PROBES).windows
        row[:] = nan_mean(track_means(np.stack(list(windows.values()), axis=1), track_ids, groups)[0])
    return pd.DataFrame(means, columns=LINEAR_PROBES).assign(latent=np.array(sizes, int))
