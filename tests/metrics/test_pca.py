"""The table of PCA's errors by number of components."""

import numpy as np

from pipeline.metrics.bootstrap import bootstrap_mean
from pipeline.metrics.pca import pca_sizes_table, rate_distortion_bound


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


def test_the_bound_is_reverse_water_filling():
    """Two variances of 4 and 1 in ten values, and 0.5 outside; by hand, and as the best split of a rate."""
    errors = np.array([5.5, 1.5, 0.5]) / 10
    nats, mse = rate_distortion_bound(errors, 10)
    np.testing.assert_allclose(nats, [0, np.log(4) / 2])
    np.testing.assert_allclose(mse, [0.55, 0.25])
    variances = np.geomspace(9, 0.1, 12)
    errors = np.append(variances[::-1].cumsum()[::-1], 0.0)  # nothing outside
    nats, mse = rate_distortion_bound(errors, 1)
    rng = np.random.default_rng(0)
    for rate, error in zip(nats[1:], mse[1:], strict=True):
        split = rng.dirichlet(np.ones(12), 500) * rate
        assert (variances * np.exp(-2 * split)).sum(1).min() >= error
