"""The KL divergence against torch's formula; schedules of its weight, free nats, capacity, balance."""

import itertools

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pipeline.losses import kl
from pipeline.losses.config import KLConfig
from pipeline.models.bottlenecks import Code

STANDARD = Normal(0.0, 1.0)


def make_code(batch: int = 4, dims: int = 8) -> Code:
    generator = torch.Generator().manual_seed(0)
    mean, noise = torch.randn(2, batch, dims, generator=generator)
    std = torch.rand(batch, dims, generator=generator) + 0.1
    return Code(mean + std * noise, mean, std)


def test_the_analytic_kl_is_that_of_torch():
    code = make_code()
    expected = kl_divergence(Normal(code.mean, code.std), STANDARD)
    torch.testing.assert_close(kl.analytic(code), expected)
    zeros, ones = torch.zeros(4, 8), torch.ones(4, 8)
    assert float(kl.analytic(Code(zeros, zeros, ones)).abs().max()) == 0


def test_the_monte_carlo_kl_is_close_to_the_analytic_one():
    code = make_code(batch=1)
    noise = torch.randn(20000, 8, generator=torch.Generator().manual_seed(1))
    mean, std = code.mean.expand(20000, -1), code.std.expand(20000, -1)
    many = Code(mean + std * noise, mean, std)
    torch.testing.assert_close(kl.monte_carlo(many).mean(0), kl.analytic(code)[0], atol=0.03, rtol=0.03)
    expected = Normal(mean, std).log_prob(many.z) - STANDARD.log_prob(many.z)
    torch.testing.assert_close(kl.monte_carlo(many), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        ({"schedule": "linear", "warmup": 0.25}, {0.0: 0.0, 0.125: 0.25, 0.25: 0.5, 0.5: 0.5, 1.0: 0.5}),
        ({"schedule": "linear", "warmup": 0.0}, {0.0: 0.5}),
        ({"schedule": "constant"}, {0.0: 0.5}),
        (
            {"schedule": "cyclical", "warmup": 0.9},
            {0.0: 0.0, 0.0625: 0.25, 0.125: 0.5, 0.2: 0.5, 0.25: 0.0, 0.3125: 0.25, 0.9: 0.5, 1.0: 0.5},
        ),
        ({"schedule": "cyclical", "cycles": 2}, {0.125: 0.25, 0.25: 0.5, 0.49: 0.5, 0.5: 0.0, 0.625: 0.25}),
    ],
    ids=str,
)
def test_the_weight_follows_its_schedule(config, weights):
    assert {p: kl.weight_at(KLConfig(beta=0.5, **config), p) for p in weights} == pytest.approx(weights)


def test_the_log_schedule_rises_by_a_constant_factor():
    config = KLConfig(beta=0.05, schedule="log", warmup=0.5)
    weights = [kl.weight_at(config, p) for p in (0.0, 0.125, 0.25, 0.375, 0.5, 1.0)]
    assert weights[0] == pytest.approx(1e-6)
    ratios = [b / a for a, b in itertools.pairwise(weights[:5])]
    assert ratios == pytest.approx([ratios[0]] * 4)
    assert weights[4:] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cyclical", "log"])
def test_every_schedule_ends_at_beta(schedule):
    assert kl.weight_at(KLConfig(beta=0.7, schedule=schedule, warmup=1.0), 1.0) == 0.7
    assert kl.weight_at(KLConfig(beta=0.7, schedule=schedule, warmup=0.0, cycles=1), 0.6) == 0.7


def divergence() -> torch.Tensor:
    """(2, 3) nats: dimensions with mean 1, 2 and 0.25; windows with totals 2 and 4.5."""
    return torch.tensor([[0.5, 1.0, 0.5], [1.5, 3.0, 0.0]], requires_grad=True)


def check_cost(config: KLConfig, nats: torch.Tensor, sizes: tuple[int, ...], progress: float, cost: float, gradient):
    value = kl.loss_term(config, nats, sizes, progress)
    assert float(value.detach()) == pytest.approx(cost)
    torch.testing.assert_close(torch.autograd.grad(value, nats)[0], torch.tensor(gradient))


def test_a_weight_of_rave_is_twice_its_hop_in_beta():
    """docs/protocol.md: RAVE's loss for a mean distance, times the samples, has the KL of the window with this beta."""
    frames, hop, weight = 6, 2048, 1e-4
    mean, std = torch.randn(4, 16, frames), torch.rand(4, 16, frames) + 0.1
    rave = (mean**2 + std**2 - (std**2).log() - 1).sum(1).mean()
    code = Code(z=mean.flatten(1), mean=mean.flatten(1), std=std.flatten(1))
    nats = kl.divergence(code).sum(1).mean()
    assert float(frames * hop * weight * rave) == pytest.approx(float(2 * weight * hop * nats), rel=1e-5)


def test_free_nats_per_dimension_are_a_floor_of_the_batch_mean():
    config = KLConfig(beta=2.0, free_nats=1.5, free_nats_per="dimension")
    check_cost(config, divergence(), (), 1.0, 2 * (1.5 + 2.0 + 1.5), [[0.0, 1.0, 0.0]] * 2)


def test_free_nats_per_level_are_a_floor_of_each_level():
    nats = torch.tensor([[0.1, 0.2, 3.0], [0.3, 0.4, 5.0]], requires_grad=True)
    check_cost(KLConfig(free_nats=1.0, free_nats_per="level"), nats, (2, 1), 1.0, 1.0 + 4.0, [[0.0, 0.0, 0.5]] * 2)


def test_free_nats_per_window_are_a_floor_of_each_total():
    config = KLConfig(free_nats=3.0, free_nats_per="window")
    check_cost(config, divergence(), (), 1.0, (3.0 + 4.5) / 2, [[0.0] * 3, [0.5] * 3])


@pytest.mark.parametrize("per", ["dimension", "window"])
def test_without_free_nats_a_negative_estimate_counts_fully(per):
    nats = torch.tensor([[-1.0, 0.5], [2.0, 0.5]])
    assert float(kl.loss_term(KLConfig(free_nats_per=per), nats, (), 1.0)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("progress", "target", "sign"), [(0.0, 0.0, 1), (0.25, 5.0, -1), (0.5, 10.0, -1), (1.0, 10.0, -1)]
)
def test_the_capacity_rises_over_the_warmup_and_attracts_the_kl(progress, target, sign):
    config = KLConfig(schedule="constant", capacity=10.0, warmup=0.5)
    check_cost(config, divergence(), (), progress, abs(3.25 - target), [[sign * 0.5] * 3] * 2)


def test_balance_gives_the_fuller_level_a_larger_weight_until_the_warmup_ends():
    nats = torch.cat([torch.full((2, 2), 3.0), torch.full((2, 4), 1.0)], 1).requires_grad_()
    config = KLConfig(schedule="constant", balance=True, warmup=0.3)
    (gradient,) = torch.autograd.grad(kl.loss_term(config, nats, (2, 4), 0.1), nats)
    upper, lower = 2 * gradient[0, 0], 2 * gradient[0, 2]  # undo the mean over two windows
    assert float(upper / lower) == pytest.approx(3.0, rel=0.02) and float(upper + lower) == pytest.approx(2.0)
    (gradient,) = torch.autograd.grad(kl.loss_term(config, nats, (2, 4), 0.3), nats)
    torch.testing.assert_close(gradient, torch.full((2, 6), 0.5))
