"""Schedules of the KL's weight, free bits, capacity, balance."""

import itertools

import pytest
import torch

from pipeline.losses import kl
from pipeline.losses.config import KLConfig


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, 0.0), (0.0625, 0.25), (0.125, 0.5), (0.2, 0.5), (0.25, 0.0), (0.3125, 0.25), (0.9, 0.5), (1.0, 0.5)],
)
def test_cyclical_schedule_rises_and_holds_four_times(progress, expected):
    assert kl.weight(KLConfig(beta=0.5, schedule="cyclical", warmup=0.9), progress) == pytest.approx(expected)


def test_number_of_cycles():
    twice = KLConfig(schedule="cyclical", cycles=2)
    assert [kl.weight(twice, p) for p in (0.125, 0.25, 0.49, 0.5, 0.625)] == pytest.approx([0.5, 1.0, 1.0, 0.0, 0.5])


def test_log_schedule_rises_by_a_constant_factor():
    config = KLConfig(beta=0.05, schedule="log", warmup=0.5)
    weights = [kl.weight(config, p) for p in (0.0, 0.125, 0.25, 0.375, 0.5, 1.0)]
    assert weights[0] == pytest.approx(1e-6)
    ratios = [b / a for a, b in itertools.pairwise(weights[:5])]
    assert ratios == pytest.approx([ratios[0]] * 4)
    assert weights[4:] == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cyclical", "log"])
def test_every_schedule_ends_at_beta(schedule):
    assert kl.weight(KLConfig(beta=0.7, schedule=schedule, warmup=1.0), 1.0) == 0.7
    assert kl.weight(KLConfig(beta=0.7, schedule=schedule, warmup=0.0, cycles=1), 0.6) == 0.7


def nats() -> torch.Tensor:
    """(2, 3): dimensions of mean 1, 2 and 0.25 nats; windows of 2 and 4.5."""
    return torch.tensor([[0.5, 1.0, 0.5], [1.5, 3.0, 0.0]], requires_grad=True)


def test_free_bits_per_dimension_are_a_floor_of_the_batch_mean_without_gradient_below():
    divergence = nats()
    cost = kl.cost(KLConfig(beta=2.0, free_bits=1.5, free_bits_per="dimension"), divergence, (), 1.0)
    assert float(cost.detach()) == pytest.approx(2 * (1.5 + 2.0 + 1.5))
    (gradient,) = torch.autograd.grad(cost, divergence)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))


def test_free_bits_per_level_are_a_floor_of_each_level():
    divergence = torch.tensor([[0.1, 0.2, 3.0], [0.3, 0.4, 5.0]], requires_grad=True)
    cost = kl.cost(KLConfig(free_bits=1.0, free_bits_per="level"), divergence, (2, 1), 1.0)
    assert float(cost.detach()) == pytest.approx(1.0 + 4.0)
    cost.backward()
    assert torch.equal(divergence.grad, torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5]]))


def test_free_bits_per_window_are_a_floor_of_each_total():
    divergence = nats()
    cost = kl.cost(KLConfig(free_bits=3.0, free_bits_per="window"), divergence, (), 1.0)
    assert float(cost.detach()) == pytest.approx((3.0 + 4.5) / 2)
    (gradient,) = torch.autograd.grad(cost, divergence)
    torch.testing.assert_close(gradient, torch.tensor([[0.0] * 3, [0.5] * 3]))


@pytest.mark.parametrize("per", ["dimension", "window"])
def test_without_free_bits_a_negative_estimate_counts_as_it_is(per):
    divergence = torch.tensor([[-1.0, 0.5], [2.0, 0.5]])
    assert float(kl.cost(KLConfig(free_bits_per=per), divergence, (), 1.0)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("progress", "target", "sign"), [(0.0, 0.0, 1), (0.25, 5.0, -1), (0.5, 10.0, -1), (1.0, 10.0, -1)]
)
def test_capacity_grows_over_the_warmup_and_draws_the_kl_to_it(progress, target, sign):
    divergence = nats()
    cost = kl.cost(KLConfig(schedule="constant", capacity=10.0, warmup=0.5), divergence, (), progress)
    assert float(cost.detach()) == pytest.approx(abs(3.25 - target))
    (gradient,) = torch.autograd.grad(cost, divergence)
    torch.testing.assert_close(gradient, torch.full((2, 3), sign * 0.5))


def test_balance_charges_the_fuller_level_more_until_the_warmup_is_over():
    divergence = torch.cat([torch.full((2, 2), 3.0), torch.full((2, 4), 1.0)], 1).requires_grad_()
    config = KLConfig(schedule="constant", balance=True, warmup=0.3)
    (gradient,) = torch.autograd.grad(kl.cost(config, divergence, (2, 4), 0.1), divergence)
    upper, lower = 2 * gradient[0, 0], 2 * gradient[0, 2]  # the mean over 2 windows undone
    assert float(upper / lower) == pytest.approx(3.0, rel=0.02) and float(upper + lower) == pytest.approx(2.0)
    (gradient,) = torch.autograd.grad(kl.cost(config, divergence, (2, 4), 0.3), divergence)
    torch.testing.assert_close(gradient, torch.full((2, 6), 0.5))
