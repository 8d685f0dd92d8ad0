"""Use of the latent, against scikit-learn and known Gaussians."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from pipeline.evaluation.latent_space import Nats, codes, dimensions, numbers, whitened
from pipeline.models.bottlenecks import BOTTLENECKS
from pipeline.models.bottlenecks.base import Bottleneck, Code
from pipeline.models.collapse import LatentUsage
from pipeline.models.config import FSQConfig, GaussianConfig, HierarchicalConfig, LinearConfig

SHAPE = (6, 4, 5)
FEATURES = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(1))


def gaussian(**config) -> Bottleneck:
    torch.manual_seed(0)
    middle = BOTTLENECKS["gaussian"](GaussianConfig(type="gaussian", **config), SHAPE)
    for parameter in middle.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return middle.eval()


def gathered(middle: Bottleneck) -> tuple[Nats, LatentUsage, Code]:
    nats, use = Nats(middle), LatentUsage(middle)
    with torch.no_grad():
        for part in FEATURES.split(7):
            code = middle.encode(part)
            nats.add(code)
            use.add(part, part, code)
        return nats, use, middle.encode(FEATURES)


def test_explained_dimensions_are_those_of_pca():
    rng = np.random.default_rng(0)
    for shape in ((200, 12), (40, 300)):
        means = rng.standard_normal(shape) * np.geomspace(3, 0.1, shape[1]) @ rng.standard_normal((shape[1], shape[1]))
        found = numbers(means.astype(np.float32) + 5)
        explained = PCA().fit(means).explained_variance_ratio_.cumsum()
        for share in (80, 90, 95, 99):
            assert found[f"dims_{share}"] == (explained < share / 100).sum() + 1
        assert found["latent_std"] == pytest.approx(means.std(0).mean(), rel=1e-5)


def test_one_direction_is_one_dimension():
    along = np.linspace(-1, 1, 20)[:, None] * np.array([[1.0, 2.0, 0.0]])
    assert [numbers(along)[f"dims_{share}"] for share in (80, 99)] == [1, 1]


@pytest.mark.parametrize("means", [np.zeros((5, 0)), np.full((5, 2), np.nan)])
def test_no_latent_and_broken_ones_have_no_numbers(means):
    assert set(numbers(means).values()) == {None}


def test_a_latent_that_never_varies_has_no_direction():
    assert numbers(np.ones((5, 3))) == dict.fromkeys(("dims_80", "dims_90", "dims_95", "dims_99")) | {"latent_std": 0}


@pytest.mark.parametrize("layout", ["vector", "sequence"])
@pytest.mark.parametrize("prior", ["standard", "normal"])
def test_nats_of_the_dimensions_add_up_to_those_of_the_window(prior, layout):
    middle = gaussian(latent=3, layout=layout, prior={"type": prior})
    nats, use, code = gathered(middle)
    posterior = torch.distributions.Normal(code.mean.double(), code.std.double())
    if prior == "standard":
        each = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0, 1)).mean(0)
        np.testing.assert_allclose(nats.mean(), each.detach(), rtol=1e-5)
    else:  # over correlated dimensions just the sum has a meaning of its own
        drawn = posterior.sample((4000,)).reshape(-1, middle.latent_dims).float()
        inverse = torch.linalg.inv(middle.learned.whitening()).double()
        density = torch.distributions.MultivariateNormal(middle.learned.mean.double(), inverse @ inverse.T)
        vectors = drawn.unflatten(1, (3, -1)).transpose(1, 2).double()
        estimate = -posterior.entropy().sum(1).mean() - density.log_prob(vectors).sum(1).mean()
        assert nats.mean().sum() == pytest.approx(estimate.item(), rel=0.01)
    frame = dimensions(middle, whitened(use, code.mean.numpy()), nats.mean())
    assert frame["kl"].tolist() == nats.mean().tolist()
    assert frame["dimension"].tolist() == [*range(middle.latent_dims)] and set(frame["level"]) == {""}
    variance = middle.whiten(code.mean).detach().var(0, correction=0)
    np.testing.assert_allclose(frame["variance"], variance, rtol=1e-4)
    assert frame["active"].sum() == use.numbers()["active_units"]


def test_a_dimension_that_the_posterior_ignores_costs_nothing_and_is_not_active():
    middle = gaussian(latent=3, layout="vector", prior={"type": "standard"})
    with torch.no_grad():
        middle.to_posterior.weight[1] = middle.to_posterior.bias[1] = 0  # mean 0
        middle.to_posterior.weight[4] = 0  # and deviation 1
        middle.to_posterior.bias[4] = np.log(np.expm1(1 - 1e-4))
    nats, use, code = gathered(middle)
    frame = dimensions(middle, whitened(use, code.mean.numpy()), nats.mean())
    assert frame["active"].tolist() == [True, False, True]
    assert frame["kl"][1] == pytest.approx(0, abs=1e-6) and frame["kl"][[0, 2]].min() > 0.01


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_nats_from_a_mixture_are_not_told_by_dimension(prior):
    middle = gaussian(latent=1, layout="sequence", prior={"type": prior})  # as many positions as dimensions
    nats, use, code = gathered(middle)
    frame = dimensions(middle, whitened(use, code.mean.numpy()), nats.mean())
    assert frame["kl"].isna().all() and frame["variance"].min() > 0


def test_levels_are_told_apart():
    torch.manual_seed(0)
    middle = BOTTLENECKS["hierarchical"](HierarchicalConfig(type="hierarchical", latent_z2=3, latent_z1=2), SHAPE)
    torch.nn.init.normal_(middle.to_z2.weight, std=0.3)
    nats, use, code = gathered(middle)
    frame = dimensions(middle, whitened(use, code.mean.numpy()), nats.mean())
    assert frame["level"].tolist() == ["z2"] * 3 + ["z1"] * 2
    assert frame["active"].tolist() == [True] * 3 + [False] * 2  # z1 begins as its prior
    assert frame["kl"][:3].min() > 0.01 and frame["kl"][3:].abs().max() < 1e-3
    assert frame["kl"].sum() == pytest.approx(code.rate.sum(1).mean().item(), rel=1e-5)


def test_codes_are_counted():
    torch.manual_seed(0)
    middle = BOTTLENECKS["fsq"](FSQConfig(type="fsq", levels=[3, 3]), SHAPE).eval()
    nats, use, code = gathered(middle)
    frame = codes(use.counts)
    np.testing.assert_array_equal(frame["count"], code.indices.flatten().bincount(minlength=9))
    assert frame["code"].tolist() == [*range(9)] and frame["count"].sum() == 30 * 20
    assert dimensions(middle, whitened(use, code.mean.detach().numpy()), nats.mean()) is None
    assert np.isnan(nats.mean()).all() and numbers(whitened(use, code.mean.detach().numpy()))["dims_99"] > 1


def test_a_baseline_and_a_gaussian_have_no_codes_and_a_baseline_no_dimensions():
    middle = BOTTLENECKS["linear"](LinearConfig(type="linear", latent=2), SHAPE)
    nats, use, code = gathered(middle)
    assert codes(use.counts) is None
    assert dimensions(middle, whitened(use, code.mean.numpy()), nats.mean()) is None
