"""Losses against their formulas."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pipeline.losses import kl
from pipeline.losses.config import KLConfig, LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal


def code(batch: int = 4, dims: int = 8, seed: int = 0, standard: bool = False) -> Code:
    generator = torch.Generator().manual_seed(seed)
    mean, noise = torch.randn(2, batch, dims, generator=generator)
    std = torch.rand(batch, dims, generator=generator) + 0.1
    if standard:
        mean, std = torch.zeros_like(mean), torch.ones_like(std)
    return Code(mean + std * noise, mean, std, torch.full_like(mean, 0.3 * (not standard)), torch.ones_like(std))


def test_analytic_kl_is_that_of_torch():
    c = code()
    expected = kl_divergence(Normal(c.mean, c.std), Normal(c.prior_mean, c.prior_std))
    torch.testing.assert_close(kl.analytic(c), expected)
    assert float(kl.analytic(code(standard=True)).abs().max()) == 0


def test_monte_carlo_kl_comes_near_the_analytic_one():
    c = code(batch=1)
    noise = torch.randn(20000, 8, generator=torch.Generator().manual_seed(1))
    mean, std = c.mean.expand(20000, -1), c.std.expand(20000, -1)
    many = Code(mean + std * noise, mean, std, c.prior_mean.expand_as(mean), c.prior_std.expand_as(std))
    torch.testing.assert_close(kl.monte_carlo(many).mean(0), kl.analytic(c)[0], atol=0.03, rtol=0.03)
    expected = Normal(mean, std).log_prob(many.z) - Normal(many.prior_mean, many.prior_std).log_prob(many.z)
    torch.testing.assert_close(kl.monte_carlo(many), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.0), (0.125, 0.25), (0.25, 0.5), (0.5, 0.5), (1.0, 0.5)])
def test_linear_schedule_rises_over_its_share_of_the_training(progress, expected):
    assert kl.weight(KLConfig(beta=0.5, schedule="linear", warmup=0.25), progress) == pytest.approx(expected)


def test_constant_schedule_and_no_warmup():
    assert kl.weight(KLConfig(beta=0.5, schedule="constant"), 0.0) == 0.5
    assert kl.weight(KLConfig(beta=0.5, schedule="linear", warmup=0.0), 0.0) == 0.5


def pair(kind: str, shape=(3, 1, 6, 7)):
    low = 0.0 if kind == "mel" else -1.0
    x, y = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    return low + (1 - low) * x, low + (1 - low) * y


def make(config: ReconstructionConfig, kind: str, values: int) -> Objective:
    return Objective(LossConfig(reconstruction=config), Signal(kind, (values,), 0.0, 0.5, {}))


def test_fixed_gaussian_is_the_likelihood_of_the_whole_window():
    y, x = pair("mel")
    term = make(ReconstructionConfig(type="gaussian", sigma=0.3), "mel", 42)
    expected = -Normal(y, 0.3).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(term.nats(term.distance(y, x)), expected)


def test_optimal_sigma_is_the_error_of_the_batch():
    y, x = pair("mel")
    term = make(ReconstructionConfig(type="gaussian", sigma="optimal"), "mel", 42)
    mse = (y - x).square().mean()
    assert float(term.nats(term.distance(y, x)).mean()) == pytest.approx(
        21 * (1 + math.log(2 * math.pi * float(mse))), rel=1e-5
    )
    for sigma in (0.9, 1.1):
        fixed = make(ReconstructionConfig(type="gaussian", sigma=sigma * float(mse.sqrt())), "mel", 42)
        assert fixed.nats(fixed.distance(y, x)).mean() > term.nats(term.distance(y, x)).mean()


def test_optimal_sigma_has_the_gradient_of_half_the_log_error():
    y, x = pair("waveform")
    y.requires_grad_()
    term = make(ReconstructionConfig(type="gaussian", sigma="optimal"), "waveform", 42)
    (ours,) = torch.autograd.grad(term.nats(term.distance(y, x)).mean(), y)
    (expected,) = torch.autograd.grad(21 * (y - x).square().mean().log(), y)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("kind", ["mel", "waveform"])
@pytest.mark.parametrize("name", ["mse", "l1", "bce"])
def test_distances_are_zero_for_a_perfect_reconstruction_and_grow(name, kind):
    y, x = pair(kind)
    term = make(ReconstructionConfig(type=name), kind, 42)
    assert float(term.nats(term.distance(x, x)).abs().max()) < 1e-3
    near = term.distance(x + 0.2 * (y - x), x)
    assert ((near > 0) & (near < term.distance(y, x))).all()


def test_bce_of_a_waveform_is_torchs_less_the_entropy():
    y, x = pair("waveform")
    p, t = (y + 1) / 2, (x + 1) / 2
    bce = torch.nn.functional.binary_cross_entropy
    expected = (bce(p, t, reduction="none") - bce(t, t, reduction="none")).flatten(1).mean(1)
    term = make(ReconstructionConfig(type="bce"), "waveform", 42)
    torch.testing.assert_close(term.distance(y, x), expected, atol=1e-5, rtol=1e-4)


def test_a_fixed_sigma_must_be_positive():
    with pytest.raises(ValueError, match="greater than 0"):
        ReconstructionConfig(sigma=0.0)
