"""PCA at every size."""

import numpy as np
import torch
from sklearn.decomposition import PCA

from pipeline.evaluation import pca_curve
from pipeline.metrics.bootstrap import estimate
from pipeline.models.vae import build
from pipeline.training import pca
from tests.evaluation.test_reconstruction import SHAPE, TEST, TRAIN, VALID, scored, unit


def test_errors_are_those_of_a_fit_with_so_many_components():
    model = build(
        {
            "network": {"type": "identity"},
            "bottleneck": {"type": "linear", "latent": None},
            "kind": "mel",
            "shape": SHAPE,
            "stats": {"mean": [0.5] * SHAPE[0], "std": [0.3] * SHAPE[0]},
            "representation": {},
        }
    )
    pca.fit(model, TRAIN, VALID, lambda row: None)
    scores = scored(model.eval())
    found = pca_curve.errors(scores, TEST)
    assert found.shape == (len(TEST), 20)
    train, test = (unit(split).reshape(len(split), -1) for split in (TRAIN, TEST))
    for size in (0, 1, 7, 19):
        fit = PCA(size, svd_solver="full").fit(train) if size else None
        rebuilt = fit.inverse_transform(fit.transform(test)) if fit else train.mean(0)
        np.testing.assert_allclose(found[:, size], ((rebuilt - test) ** 2).mean(1), rtol=1e-4)
    assert np.isnan(scores.windows["kl"]).all() and np.isnan(scores.windows["elbo"]).all()
    assert torch.isfinite(torch.from_numpy(scores.windows["mse"])).all()


def test_the_table_has_the_intervals_of_every_other_metric():
    errors = np.random.default_rng(0).random((30, 3))
    tracks = np.repeat(np.arange(10), 3).astype(str)
    groups = np.repeat(np.arange(5), 6)  # two tracks each
    table = pca_curve.table(errors, tracks, groups, 200)
    assert table["latent"].tolist() == [0, 1, 2]
    means = errors.reshape(10, 3, 3).mean(1)
    found = estimate(means, np.repeat(np.arange(5), 2), 200)
    np.testing.assert_allclose(
        table[["mse", "mse_low", "mse_high"]], np.stack([means.mean(0), found.low, found.high], 1)
    )
