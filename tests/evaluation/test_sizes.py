"""PCA at every size."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pipeline.evaluation import sizes
from pipeline.evaluation.protocol import score
from pipeline.evaluation.summary import interval
from pipeline.models.vae import build
from pipeline.training import closed
from tests.evaluation.test_protocol import CPU, SHAPE, TEST, TRAIN, VALID, unit


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
    closed.fit(model, TRAIN, VALID, lambda row: None)
    scores = score(model.eval(), TEST, VALID, 4, CPU)
    found = sizes.errors(scores, TEST)
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
    table = sizes.table(errors, tracks, 200)
    assert table["latent"].tolist() == [0, 1, 2]
    means = errors[:, 1].reshape(10, 3).mean(1)
    assert table["mse"][1] == pytest.approx(means.mean())
    assert (table["mse_low"][1], table["mse_high"][1]) == pytest.approx(interval(means, 200))
