"""The two-level bottleneck."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from pipeline.losses import kl
from pipeline.models.bottlenecks.hierarchical import Hierarchical
from pipeline.models.collapse import LatentUsage, why_collapsed
from pipeline.models.config import HierarchicalConfig
from pipeline.models.priors import LearnedNormal

SHAPE = (6, 3, 5)
both_layouts = pytest.mark.parametrize("layout", ["vector", "sequence"])


def make(layout: str = "vector", trained: bool = True) -> Hierarchical:
    torch.manual_seed(0)
    bottleneck = Hierarchical(HierarchicalConfig(type="hierarchical", latent_z2=3, latent_z1=4, layout=layout), SHAPE)
    if trained:  # no parameter is zero
        for parameter in bottleneck.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return bottleneck


def torch_kl(prior: LearnedNormal, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(B,) KL of the posterior, (B, latent * positions) each, by torch's formula."""
    inverse = torch.linalg.inv(prior.whitening())
    mean, std = (part.unflatten(1, (len(inverse), -1)).transpose(1, 2) for part in (mean, std))
    density = MultivariateNormal(prior.mean, inverse @ inverse.T)
    return kl_divergence(MultivariateNormal(mean, torch.diag_embed(std.square())), density).sum(1)


def features(number: int = 8) -> torch.Tensor:
    return torch.randn(number, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("layout", "size"), [("vector", 4), ("sequence", 60)])
def test_at_first_z1_has_no_kl_and_a_standard_prior(layout, size):
    bottleneck = make(layout, trained=False)
    assert bottleneck.levels == {"z2": 3, "z1": size} and bottleneck.latent_dims == 3 + size
    code = bottleneck.encode(features(), torch.randn(8, 3 + size))
    kl2, kl1 = kl.divergence(code).split(code.level_sizes, dim=1)
    assert float(kl1.detach().sum(1).max()) < 1e-3 < float(kl2.detach().sum(1).min())
    shift, scale = bottleneck.lower_prior(torch.randn(8, 3))
    torch.testing.assert_close(shift, torch.zeros_like(shift))
    torch.testing.assert_close(scale, torch.ones_like(scale), atol=2e-4, rtol=0)


@both_layouts
def test_the_prior_of_z1_depends_on_the_drawn_z2_or_on_its_mean(layout):
    bottleneck = make(layout)
    for noise in (None, torch.randn(8, bottleneck.latent_dims)):
        code = bottleneck.encode(features(), noise)
        z2, z1 = code.z.split(bottleneck.level_sizes, dim=1)
        shift, scale = bottleneck.lower_prior(z2)
        kl2 = torch_kl(bottleneck.prior_z2, code.mean[:, :3], code.std[:, :3])
        kl1 = torch_kl(bottleneck.prior_z1, (code.mean[:, 3:] - shift) / scale, code.std[:, 3:] / scale)
        levels = torch.stack([level.sum(1) for level in kl.divergence(code).split(code.level_sizes, dim=1)])
        torch.testing.assert_close(levels, torch.stack((kl2, kl1)), atol=1e-2, rtol=1e-4)
        if noise is None:
            assert torch.equal(code.z, code.mean)
        else:
            torch.testing.assert_close(z1, (code.mean + code.std * noise)[:, 3:])


@both_layouts
def test_samples_draw_z1_from_the_prior_given_z2(layout):
    bottleneck = make(layout)
    with torch.no_grad():
        z = bottleneck.sample_prior(4000, torch.Generator().manual_seed(0))
        z2, z1 = z.split(bottleneck.level_sizes, dim=1)
        shift, scale = bottleneck.lower_prior(z2)
        centred = ((z1 - shift) / scale).unflatten(1, (4, -1)) - bottleneck.prior_z1.mean[:, None]
        standard = bottleneck.prior_z1.whitening() @ centred
        assert torch.equal(z, bottleneck.sample_prior(4000, torch.Generator().manual_seed(0)))
    assert float(standard.mean().abs()) < 0.03 and float(standard.std()) == pytest.approx(1.0, abs=0.03)
    assert float(shift.std(0).min()) > 0.05  # or z2 would not matter
    torch.testing.assert_close(bottleneck.latent_std(), z.std(0), atol=0.1, rtol=0.15)


@both_layouts
def test_whitened_samples_are_standard_normal_and_unwhiten_is_the_inverse(layout):
    bottleneck = make(layout)
    with torch.no_grad():
        z = bottleneck.sample_prior(4000, torch.Generator().manual_seed(0))
        u = bottleneck.whiten(z)
        assert float(u.mean().abs()) < 0.03 and float(u.std()) == pytest.approx(1.0, abs=0.03)
        torch.testing.assert_close(bottleneck.unwhiten(u), z, atol=1e-3, rtol=1e-3)


def test_an_empty_level_has_no_active_units_and_is_named():
    bottleneck = make()
    for layer in (bottleneck.to_z1, bottleneck.from_z2_to_z1):
        for parameter in layer.parameters():
            torch.nn.init.zeros_(parameter)
    usage = LatentUsage(bottleneck)
    x = torch.randn(8, 1, 6)
    with torch.no_grad():
        usage.add(x, x, bottleneck.encode(features()))
    metrics = usage.metrics()
    assert metrics["active_units_z1"] == 0 and metrics["active_units_z2"] == 3
    assert why_collapsed(metrics) == "0.0% of the units of z1 active"


def test_both_levels_reach_the_decoder():
    bottleneck = make("sequence")
    z = torch.randn(1, bottleneck.latent_dims)
    with torch.no_grad():
        base = bottleneck.decode(z)
        for level in (slice(0, 3), slice(3, None)):
            moved = z.clone()
            moved[:, level] += 1
            assert (bottleneck.decode(moved) - base).abs().mean() > 0.1
