"""The table of PCA's errors by number of components."""

import numpy as np

from pipeline.metrics.bootstrap import bootstrap_mean
from pipeline.metrics.pca import pca_sizes_table


def test_pca_sizes_have_the_intervals_of_every_other_metric():
    errors = np.random.default_rng(0).random((30, 3))
    tracks = np.repeat(np.arange(10), 3).astype(str)
    groups = np.repeat(np.arange(5), 6)  # two tracks each
    table = pca_sizes_table(errors, tracks, groups, 200)
    assert table["latent"].tolist() == [0, 1, 2]
    means = errors.reshape(10, 3, 3).mean(1)
    interval = bootstrap_mean(means, np.repeat(np.arange(5), 2), 200)
    expected = np.stack([means.mean(0), interval.low, interval.high], 1)
    np.testing.assert_allclose(table[["mse", "mse_low", "mse_high"]], expected)
