"""Scores against other implementations."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.cache import arrays
from pipeline.cache.reader import Split
from pipeline.evaluation import examples, protocol
from pipeline.evaluation.protocol import baselines, score
from pipeline.models.vae import build
from pipeline.training.data import fixed_noise

CPU = torch.device("cpu")
SHAPE = (8, 12)


def split(number: int, seed: int) -> Split:
    values = np.random.default_rng(seed).uniform(-80, 0, (number, *SHAPE)).astype(np.float16)
    ids = np.arange(number)
    labels = np.array([f"l{i * 3 // number}" for i in range(number)])
    return Split(
        "mel", SHAPE, values, ids + 100, ids.astype(str), labels, np.linspace(-10, 10, number).astype(np.float32)
    )


TRAIN, VALID, TEST = split(20, 0), split(10, 1), split(11, 2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(
        {
            "network": {"type": "conv2d", "channels": [4]},
            "bottleneck": {"type": "gaussian", "latent": 3},
            "kind": "mel",
            "shape": SHAPE,
            "stats": {"mean": [0.5] * SHAPE[0], "std": [0.3] * SHAPE[0]},
            "representation": {},
        }
    ).eval()


def unit(split: Split) -> np.ndarray:
    return split.values.astype(np.float64) / 80 + 1


def test_scores_agree_with_numpy_scikit_learn_and_scipy(model):
    found = score(model, TEST, VALID, 4, CPU)
    with torch.no_grad():
        x, v = (torch.tensor(unit(s), dtype=torch.float32).unsqueeze(1) for s in (TEST, VALID))
        y, code = model(x)
        noise = ((model(v, fixed_noise(len(v), 3))[0] - v) ** 2).mean().item()
        flat_draw = model(x, fixed_noise(len(x), 3))[0].flatten(1).double().numpy()
    flat_x, flat_y = x.flatten(1).double().numpy(), y.flatten(1).double().numpy()
    np.testing.assert_allclose(found.windows["mse"], ((flat_x - flat_y) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(
        found.windows["cosine_similarity"], np.diag(cosine_similarity(flat_x, flat_y)), rtol=1e-5
    )
    likelihood = stats.norm(flat_draw, np.sqrt(noise)).logpdf(flat_x).sum(1)
    np.testing.assert_allclose(found.windows["elbo"], likelihood - found.windows["kl"], rtol=1e-4)
    np.testing.assert_allclose(found.latents, code.mean.numpy(), atol=1e-6)
    assert found.use["variance_ratio"] == pytest.approx(flat_y.var(0).mean() / flat_x.var(0).mean(), rel=1e-4)


def test_windows_from_disk_are_scored_as_those_in_memory_are(model, monkeypatch):
    expected, baseline = score(model, TEST, VALID, 4, CPU), baselines(TRAIN, TEST, 4)
    monkeypatch.setattr(protocol, "feed", partial(protocol.feed, budget=0))
    found = score(model, TEST, VALID, 4, CPU)
    for ours, theirs in ((found.windows, expected.windows), (baselines(TRAIN, TEST, 4), baseline)):
        assert all(np.array_equal(ours[name], values) for name, values in theirs.items())
    assert np.array_equal(found.latents, expected.latents) and found.use == expected.use


def test_baselines(model):
    found = baselines(TRAIN, TEST, 4)
    x = unit(TEST)
    np.testing.assert_allclose(found["mse_zero"], (x**2).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["mse_mean"], ((x - unit(TRAIN).mean(0)) ** 2).mean((1, 2)), rtol=1e-4)


def test_examples_are_of_different_labels_and_match_the_model(model, tmp_path):
    examples.save(tmp_path / "e.parquet", model, TEST, 3.5, number=3, samples=2, seed=7)
    table = arrays.read(tmp_path / "e.parquet")
    frame, values = table.drop_columns(["array"]).to_pandas(), arrays.unpack(table, "array")
    assert frame["kind"].tolist() == ["original"] * 3 + ["reconstruction"] * 3 + ["sample"] * 2
    assert frame["label"].tolist()[:3] == ["l0", "l1", "l2"] == frame["label"].tolist()[3:6]
    assert (frame["seed"] == 7).all() and (frame["peak_db"][6:] == 3.5).all()
    rows = frame["window_id"][:3] - 100
    np.testing.assert_allclose(values[:3], unit(TEST)[rows], atol=1e-6)
    with torch.no_grad():
        again = model(torch.from_numpy(values[:3].copy()).unsqueeze(1))[0].squeeze(1).numpy()
    np.testing.assert_allclose(values[3:6], again, atol=1e-6)
    assert not np.allclose(values[6], values[7])


def test_more_examples_than_labels_are_filled_up():
    assert len(set(examples.choose(TEST, 6))) == 6
    assert len(examples.choose(TEST, 100)) == len(TEST)
