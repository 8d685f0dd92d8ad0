"""Baselines against scikit-learn."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.models import store
from pipeline.models.probabilistic_pca import principal_components
from pipeline.models.vae import VAE
from pipeline.training import pca

SAMPLES = 60


def waves(rows: int, seed: int, spans: int = 1) -> Split:
    """int16 waveforms of low rank; with `spans`, rows of so many windows."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((rows, 12)) * 0.7 ** np.arange(12) @ rng.standard_normal((12, SAMPLES * spans))
    values = np.clip(3000 * mixed + 200 * rng.standard_normal(mixed.shape), -32767, 32767).astype(np.int16)
    ids = np.arange(rows)
    sizes = np.full(rows, SAMPLES * spans, np.int32), np.full(rows, spans, np.int32)
    length, windows = sizes if spans > 1 else (None, None)
    return Split("waveform", (SAMPLES,), values, ids, ids.astype(str), np.repeat("a", rows), None, length, windows)


def description(latent: int) -> dict:
    return {
        "network": {"type": "identity"},
        "bottleneck": {"type": "linear", "latent": latent},
        "kind": "waveform",
        "shape": [SAMPLES],
        "stats": {"mean": 0.0, "std": 0.1},
        "representation": {},
    }


def fitted(latent: int, train: Split, valid: Split | None = None):
    model = VAE(description(latent))
    history, snapshots = pca.fit_baseline(model, train, valid or train)
    return model, history, snapshots


def array(split: Split) -> np.ndarray:
    return torch.cat([x.flatten(1) for x, _ in ResidentLoader(split, pca.CPU).batches(64)]).double().numpy()


@pytest.mark.parametrize("block", [7, 512])
def test_components_equal_those_of_scikit_learn(block, monkeypatch):
    monkeypatch.setattr(pca, "BLOCK", block)  # a block that does not divide the windows, and one that holds all
    train = waves(40, 0)
    bottleneck = fitted(9, train)[0].bottleneck
    reference = PCA(9, svd_solver="full").fit(array(train))
    np.testing.assert_allclose(bottleneck.mean, reference.mean_, atol=1e-6)
    cosines = (bottleneck.components.numpy() * reference.components_).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-4)
    np.testing.assert_allclose(bottleneck.std, np.sqrt(reference.explained_variance_ * 39 / 40), rtol=1e-4)


def test_components_beyond_the_rank_of_the_windows_are_zero():
    model, history, _ = fitted(30, waves(20, 0), waves(15, 1))
    components, std = model.bottleneck.components, model.bottleneck.std
    torch.testing.assert_close(components[:19] @ components[:19].T, torch.eye(19), atol=1e-5, rtol=0)
    assert not components[19:].any() and not std[19:].any()  # the mean takes one dimension
    assert history[0]["train_mse"] < 1e-9 < history[0]["valid_mse"]


def test_without_components_everything_is_the_train_mean():
    train = waves(20, 0)
    model, history, snapshots = fitted(0, train)
    values = array(train)
    assert history[0]["train_mse"] == pytest.approx(((values - values.mean(0)) ** 2).mean(), rel=1e-5)
    x = torch.zeros(2, 1, SAMPLES)
    outputs = model.interpolate(x[0], x[1], 3), model.perturb(x, 1.0, torch.Generator()), snapshots.samples[0]
    for y in outputs:
        np.testing.assert_allclose(y[0, 0], values.mean(0), atol=1e-6)


def test_the_prior_has_the_variances_of_the_coordinates():
    train = waves(40, 0)
    model = fitted(6, train)[0]
    samples = model.bottleneck.sample_prior(4000, torch.Generator().manual_seed(0))
    encoded = model.encode(torch.from_numpy(array(train)).float()[:, None]).mean
    np.testing.assert_allclose(samples.std(0), encoded.std(0, correction=0), rtol=0.06)
    torch.testing.assert_close(model.bottleneck.latent_std(), encoded.std(0, correction=0))


def test_of_spans_many_crops_are_used(monkeypatch):
    """A component of the crops that the evenly cut windows of the spans do not have."""
    spans = waves(4, 0, spans=3)
    monkeypatch.setattr(pca, "MAX_CROPS", 60)
    crops = torch.cat([x.flatten(1) for x, _ in pca.crops(ResidentLoader(spans, pca.CPU, (), "shuffled"))])
    assert len(crops) == 60 and len(crops.unique(dim=0)) > 50
    fitted_std = fitted(20, spans)[0].bottleneck.std.numpy()
    expected = PCA(20, svd_solver="full").fit(crops.double().numpy()).explained_variance_ * 59 / 60
    np.testing.assert_allclose(fitted_std, np.sqrt(expected), rtol=1e-3)
    monkeypatch.setattr(pca, "MAX_CROPS", 6)  # fewer than the windows of a pass: each once
    assert sum(len(x) for x, _ in pca.crops(ResidentLoader(spans, pca.CPU, (), "shuffled"))) == 12


def test_the_largest_components_of_many_dimensions_are_approximated():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 300)) * 0.97 ** np.arange(300) @ rng.standard_normal((300, 300)) / 20
    x = torch.from_numpy(rows - rows.mean(0)).float()
    components, variances = principal_components(lambda: x.split(64), len(x), 10)
    reference = PCA(10, svd_solver="full").fit(x.numpy())
    np.testing.assert_allclose(variances, reference.explained_variance_ * 399 / 400, rtol=2e-3)
    residual = x - x @ components.T @ components
    best = x.numpy() - reference.inverse_transform(reference.transform(x.numpy()))
    assert residual.square().sum() < 1.001 * np.square(best).sum()


def test_a_streamed_split_gives_the_same(monkeypatch):
    """But for the signs of the components, since the order of the windows differs."""
    train = waves(40, 0)
    expected = fitted(9, train)[0].bottleneck
    monkeypatch.setattr(pca, "window_loader", partial(pca.window_loader, max_resident_bytes=0))
    streamed = fitted(9, train)[0].bottleneck
    for name in ("mean", "std"):
        torch.testing.assert_close(getattr(streamed, name), getattr(expected, name), rtol=1e-4, atol=1e-6)
    projections = (b.components.T @ b.components for b in (streamed, expected))
    torch.testing.assert_close(*projections, rtol=0, atol=1e-4)


def test_a_saved_baseline_is_loaded_unchanged(tmp_path):
    model, *_ = fitted(19, waves(20, 0))
    store.save(tmp_path, model, description(model.latent_dims))
    loaded, _ = store.load(tmp_path)
    x = torch.from_numpy(array(waves(5, 2))).float()[:, None]
    assert torch.equal(loaded.reconstruct(x), model.reconstruct(x))
