"""Steps that would spoil a model are skipped without a trace; a training of such steps alone stops."""

import pytest
import torch
from torch import nn

from pipeline.core.errors import TrainingError
from pipeline.training.bad_steps import MAX_BROKEN_IN_A_ROW, SETTLING_STEPS, StepGuard

CPU = torch.device("cpu")
NAMES = ["distance", "kl", "loss", "grad_norm"]


def new_guard():
    return StepGuard([nn.BatchNorm1d(2)], CPU)


def update(guard, step, norm=1.0, **broken):
    return bool(guard.update(step, torch.tensor([broken.get(name, 1.0) for name in NAMES[:-1]] + [norm])))


@pytest.fixture
def guard():
    """After enough steps to know the typical norm, 1."""
    guard = new_guard()
    assert all(update(guard, step) for step in range(SETTLING_STEPS))
    return guard


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), 1e6])
def test_a_bad_norm_is_skipped_and_the_next_step_is_not(guard, norm):
    assert not update(guard, 50, norm) and update(guard, 51)
    assert float(guard.state["skipped"]) == 1


def test_a_bad_term_is_skipped_though_the_norm_is_fine():
    assert not update(new_guard(), 0, kl=float("nan"))


def test_large_norms_of_the_first_steps_are_accepted():
    guard = new_guard()
    assert all(update(guard, step, norm) for step, norm in enumerate([1.0, 500.0, 1.0]))


def test_a_norm_that_stays_high_is_accepted_after_a_while(guard):
    results = [update(guard, 50 + step, 1e4) for step in range(12)]
    assert not results[0] and results[-1] and results == sorted(results)


def test_a_spike_among_the_first_steps_does_not_raise_the_limit_much():
    guard = new_guard()
    for step in range(SETTLING_STEPS):
        update(guard, step, 1e6 if step == 10 else 1.0)
    assert not update(guard, SETTLING_STEPS, 1e5)


def test_statistics_of_a_skipped_step_are_restored():
    norm = nn.BatchNorm1d(2)
    guard = StepGuard([norm], CPU)
    norm(torch.randn(8, 2))
    update(guard, 0)
    before = norm.running_mean.clone()
    norm(torch.full((8, 2), float("nan")))
    update(guard, 1, loss=float("nan"))
    assert torch.equal(norm.running_mean, before) and before.abs().sum() > 0


def test_too_many_broken_steps_in_a_row_name_the_first_terms_and_the_step(guard):
    for step in range(MAX_BROKEN_IN_A_ROW):
        guard.raise_if_broken(NAMES, 16)
        update(guard, 50 + step, float("nan"), kl=float("inf") if step else 1.0, distance=float("nan"))
    with pytest.raises(TrainingError, match=r"^distance not finite since step 51 \(epoch 4\), 20 steps"):
        guard.raise_if_broken(NAMES, 16)


def test_if_only_the_gradient_is_broken_it_is_named(guard):
    for step in range(MAX_BROKEN_IN_A_ROW):
        update(guard, 50 + step, float("inf"))
    with pytest.raises(TrainingError, match=r"^grad_norm not finite since step 51 "):
        guard.raise_if_broken(NAMES, 100)


def test_a_restored_guard_continues(guard):
    restored = new_guard()
    update(guard, 50, float("nan"))
    restored.load_state_dict(guard.state_dict())
    assert [update(guard, 51, 150.0), update(restored, 51, 150.0)] == [True, True]  # the limit has doubled
    assert guard.state == restored.state
