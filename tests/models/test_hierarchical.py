"""The two-level bottleneck."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from pipeline.losses import kl
from pipeline.models.bottlenecks.hierarchical import Hierarchical
from pipeline.models.collapse import LatentUsage, reason
from pipeline.models.config import HierarchicalConfig
from pipeline.models.priors.normal import LearnedNormal

SHAPE = (6, 3, 5)


def make(layout: str = "vector", learnt: bool = True) -> Hierarchical:
    torch.manual_seed(0)
    middle = Hierarchical(HierarchicalConfig(type="hierarchical", latent_z2=3, latent_z1=4, layout=layout), SHAPE)
    if learnt:  # as after some training: what began with zeros no longer is
        for parameter in middle.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return middle


def nats(prior: LearnedNormal, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(B,) KL of the posterior, (B, latent * positions) each, by torch's own formula."""
    inverse = torch.linalg.inv(prior.whitening())
    mean, std = (part.unflatten(1, (len(inverse), -1)).transpose(1, 2) for part in (mean, std))
    density = MultivariateNormal(prior.mean, inverse @ inverse.T)
    return kl_divergence(MultivariateNormal(mean, torch.diag_embed(std.square())), density).sum(1)


def features(number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("layout", "lower"), [("vector", 4), ("sequence", 60)])
def test_at_first_z1_costs_nothing_and_its_prior_is_standard(layout, lower):
    middle = make(layout, learnt=False)
    assert middle.levels == {"z2": 3, "z1": lower} and middle.latent_dims == 3 + lower
    code = middle.encode(features(), torch.randn(8, 3 + lower))
    upper, nats = kl.divergence(code).split(code.sizes, dim=1)
    assert float(nats.detach().sum(1).max()) < 1e-3 < float(upper.detach().sum(1).min())
    moved, scaled = middle.lower_prior(torch.randn(8, 3))
    torch.testing.assert_close(moved, torch.zeros_like(moved))
    torch.testing.assert_close(scaled, torch.ones_like(scaled), atol=2e-4, rtol=0)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_prior_of_z1_is_that_of_the_drawn_z2_or_of_its_mean(layout):
    middle = make(layout)
    for noise in (None, torch.randn(8, middle.latent_dims)):
        code = middle.encode(features(), noise)
        z2, z1 = code.z.split(middle.sizes, dim=1)
        moved, scaled = middle.lower_prior(z2)
        upper = nats(middle.prior_z2, code.mean[:, :3], code.std[:, :3])
        lower = nats(middle.prior_z1, (code.mean[:, 3:] - moved) / scaled, code.std[:, 3:] / scaled)
        found = torch.stack([level.sum(1) for level in kl.divergence(code).split(code.sizes, dim=1)])
        torch.testing.assert_close(found, torch.stack((upper, lower)), atol=1e-2, rtol=1e-4)
        if noise is None:
            assert torch.equal(code.z, code.mean)
        else:
            torch.testing.assert_close(z1, (code.mean + code.std * noise)[:, 3:])


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_draws_take_z1_from_the_prior_that_z2_gives(layout):
    middle = make(layout)
    with torch.no_grad():
        draw = middle.prior(4000, torch.Generator().manual_seed(0))
        z2, z1 = draw.split(middle.sizes, dim=1)
        mean, std = middle.lower_prior(z2)
        own = ((z1 - mean) / std).unflatten(1, (4, -1)) - middle.prior_z1.mean[:, None]
        standard = middle.prior_z1.whitening() @ own
        assert torch.equal(draw, middle.prior(4000, torch.Generator().manual_seed(0)))
    assert float(standard.mean().abs()) < 0.03 and float(standard.std()) == pytest.approx(1.0, abs=0.03)
    assert float(mean.std(0).min()) > 0.05  # or z2 would not matter
    torch.testing.assert_close(middle.latent_std(), draw.std(0), atol=0.1, rtol=0.15)


@pytest.mark.parametrize("layout", ["vector", "sequence"])
def test_whitened_draws_are_standard_normal_and_come_back(layout):
    middle = make(layout)
    with torch.no_grad():
        z = middle.prior(4000, torch.Generator().manual_seed(0))
        u = middle.whiten(z)
        assert float(u.mean().abs()) < 0.03 and float(u.std()) == pytest.approx(1.0, abs=0.03)
        torch.testing.assert_close(middle.colour(u), z, atol=1e-3, rtol=1e-3)


def test_a_level_that_says_nothing_has_no_active_units_and_is_named():
    middle = make()
    for layer in (middle.to_z1, middle.from_z2_to_z1):
        for parameter in layer.parameters():
            torch.nn.init.zeros_(parameter)
    use = LatentUsage(middle)
    x = torch.randn(8, 1, 6)
    with torch.no_grad():
        use.add(x, x, middle.encode(features()))
    found = use.numbers()
    assert found["active_units_z1"] == 0 and found["active_units_z2"] == 3
    assert reason(found) == "0.0% of the units of z1 active"


def test_both_levels_reach_the_decoder():
    middle = make("sequence")
    z = torch.randn(1, middle.latent_dims)
    with torch.no_grad():
        base = middle.decode(z)
        for level in (slice(0, 3), slice(3, None)):
            moved = z.clone()
            moved[:, level] += 1
            assert (middle.decode(moved) - base).abs().mean() > 0.1
