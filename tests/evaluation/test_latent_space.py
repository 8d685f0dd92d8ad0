"""Latent space numbers and tables, against scikit-learn and known Gaussians."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pipeline.evaluation.latent_space import (
    DimensionKL,
    codes_table,
    dimensions_table,
    variance_numbers,
    whitened_means,
)
from pipeline.metrics.pca import pca_errors
from pipeline.models.bottlenecks import BOTTLENECKS
from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.collapse import LatentUsage
from pipeline.models.config import FSQConfig, GaussianConfig, HierarchicalConfig, LinearConfig
from pipeline.models.vae import VAE
from pipeline.training import pca
from tests.evaluation.test_reconstruction import DESCRIPTION, TEST, TRAIN, VALID, score_model, unit

FEATURE_SHAPE = (6, 4, 5)
FEATURES = torch.randn(30, *FEATURE_SHAPE, generator=torch.Generator().manual_seed(1))


def gaussian(**config) -> Bottleneck:
    torch.manual_seed(0)
    bottleneck = BOTTLENECKS["gaussian"](GaussianConfig(type="gaussian", **config), FEATURE_SHAPE)
    for parameter in bottleneck.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return bottleneck.eval()


def encode(bottleneck: Bottleneck) -> tuple[np.ndarray, LatentUsage, Code]:
    """KL by dimension, usage and code of FEATURES, gathered batch by batch."""
    kl, usage = DimensionKL(bottleneck), LatentUsage(bottleneck)
    with torch.no_grad():
        for batch in FEATURES.split(7):
            code = bottleneck.encode(batch)
            kl.add(code)
            usage.add(batch, batch, code)
        return kl.mean(), usage, bottleneck.encode(FEATURES)


def encode_table(bottleneck: Bottleneck):
    nats, usage, code = encode(bottleneck)
    return dimensions_table(bottleneck, whitened_means(usage, code.mean.detach().numpy()), nats)


def test_explained_dimensions_agree_with_pca():
    rng = np.random.default_rng(0)
    for shape in ((200, 12), (40, 300)):
        means = rng.standard_normal(shape) * np.geomspace(3, 0.1, shape[1]) @ rng.standard_normal((shape[1], shape[1]))
        numbers = variance_numbers(means.astype(np.float32) + 5)
        explained = PCA().fit(means).explained_variance_ratio_.cumsum()
        for percent in (80, 90, 95, 99):
            assert numbers[f"dims_{percent}"] == (explained < percent / 100).sum() + 1
        assert numbers["latent_std"] == pytest.approx(means.std(0).mean(), rel=1e-5)


def test_one_direction_is_one_dimension():
    along = np.linspace(-1, 1, 20)[:, None] * np.array([[1.0, 2.0, 0.0]])
    assert [variance_numbers(along)[f"dims_{percent}"] for percent in (80, 99)] == [1, 1]


@pytest.mark.parametrize("means", [np.zeros((5, 0)), np.full((5, 2), np.nan)])
def test_no_latent_and_nan_have_no_numbers(means):
    assert set(variance_numbers(means).values()) == {None}


def test_constant_latent_has_no_direction():
    directions = dict.fromkeys(("dims_80", "dims_90", "dims_95", "dims_99"))
    assert variance_numbers(np.ones((5, 3))) == directions | {"latent_std": 0}


@pytest.mark.parametrize("layout", ["vector", "sequence"])
@pytest.mark.parametrize("prior", ["standard", "normal"])
def test_kl_of_the_dimensions_adds_up_to_the_kl_of_the_window(prior, layout):
    bottleneck = gaussian(latent=3, layout=layout, prior={"type": prior})
    nats, usage, code = encode(bottleneck)
    posterior = torch.distributions.Normal(code.mean.double(), code.std.double())
    if prior == "standard":
        expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).mean(0)
        np.testing.assert_allclose(nats, expected.detach(), rtol=1e-5)
    else:  # of correlated dimensions, only the sum has a meaning
        z = posterior.sample((4000,)).reshape(-1, bottleneck.latent_dims).float()
        inverse = torch.linalg.inv(bottleneck.learned.whitening()).double()
        density = torch.distributions.MultivariateNormal(bottleneck.learned.mean.double(), inverse @ inverse.T)
        vectors = z.unflatten(1, (3, -1)).transpose(1, 2).double()
        estimate = -posterior.entropy().sum(1).mean() - density.log_prob(vectors).sum(1).mean()
        assert nats.sum() == pytest.approx(estimate.item(), rel=0.01)
    table = dimensions_table(bottleneck, whitened_means(usage, code.mean.numpy()), nats)
    assert table["kl"].tolist() == nats.tolist()
    assert table["dimension"].tolist() == [*range(bottleneck.latent_dims)] and set(table["level"]) == {""}
    variance = bottleneck.whiten(code.mean).detach().var(0, correction=0)
    np.testing.assert_allclose(table["variance"], variance, rtol=1e-4)
    assert table["active"].sum() == usage.metrics()["active_units"]


def test_dimension_equal_to_its_prior_has_no_kl_and_is_not_active():
    bottleneck = gaussian(latent=3, layout="vector", prior={"type": "standard"})
    with torch.no_grad():
        bottleneck.to_posterior.weight[1] = bottleneck.to_posterior.bias[1] = 0  # mean 0
        bottleneck.to_posterior.weight[4] = 0  # and standard deviation 1
        bottleneck.to_posterior.bias[4] = np.log(np.expm1(1 - 1e-4))
    table = encode_table(bottleneck)
    assert table["active"].tolist() == [True, False, True]
    assert table["kl"][1] == pytest.approx(0, abs=1e-6) and table["kl"][[0, 2]].min() > 0.01


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_mixture_has_no_kl_by_dimension(prior):
    table = encode_table(
        gaussian(latent=1, layout="sequence", prior={"type": prior})
    )  # as many positions as dimensions
    assert table["kl"].isna().all() and table["variance"].min() > 0


def test_levels_are_separate():
    torch.manual_seed(0)
    config = HierarchicalConfig(type="hierarchical", latent_z2=3, latent_z1=2)
    bottleneck = BOTTLENECKS["hierarchical"](config, FEATURE_SHAPE)
    torch.nn.init.normal_(bottleneck.to_z2.weight, std=0.3)
    table = encode_table(bottleneck)
    assert table["level"].tolist() == ["z2"] * 3 + ["z1"] * 2
    assert table["active"].tolist() == [True] * 3 + [False] * 2  # z1 starts equal to its prior
    assert table["kl"][:3].min() > 0.01 and table["kl"][3:].abs().max() < 1e-3
    _, _, code = encode(bottleneck)
    assert table["kl"].sum() == pytest.approx(code.kl.sum(1).mean().item(), rel=1e-5)


def test_codes_are_counted():
    torch.manual_seed(0)
    bottleneck = BOTTLENECKS["fsq"](FSQConfig(type="fsq", levels=[3, 3]), FEATURE_SHAPE).eval()
    nats, usage, code = encode(bottleneck)
    table = codes_table(usage.counts)
    np.testing.assert_array_equal(table["count"], code.indices.flatten().bincount(minlength=9))
    assert table["code"].tolist() == [*range(9)] and table["count"].sum() == 30 * 20
    assert encode_table(bottleneck) is None
    means = whitened_means(usage, code.mean.detach().numpy())
    assert np.isnan(nats).all() and variance_numbers(means)["dims_99"] > 1


def test_baseline_has_no_codes_and_no_dimensions():
    bottleneck = BOTTLENECKS["linear"](LinearConfig(type="linear", latent=2), FEATURE_SHAPE)
    assert codes_table(encode(bottleneck)[1].counts) is None
    assert encode_table(bottleneck) is None


def test_pca_errors_agree_with_a_fit_of_each_size():
    description = {"network": {"type": "identity"}, "bottleneck": {"type": "linear", "latent": 19}}
    model = VAE(DESCRIPTION | description)
    pca.fit_baseline(model, TRAIN, VALID)
    scores = score_model(model.eval())
    errors = pca_errors(scores.windows["mse"], scores.latents, TEST.shape)
    assert errors.shape == (len(TEST), 20)
    train, test = (unit(split).reshape(len(split), -1) for split in (TRAIN, TEST))
    for size in (0, 1, 7, 19):
        fit = PCA(size, svd_solver="full").fit(train) if size else None
        reconstructed = fit.inverse_transform(fit.transform(test)) if fit else train.mean(0)
        np.testing.assert_allclose(errors[:, size], ((reconstructed - test) ** 2).mean(1), rtol=1e-4)
    assert np.isnan(scores.windows["kl"]).all() and np.isnan(scores.windows["elbo"]).all()
    assert np.isfinite(scores.windows["mse"]).all()
