"""Steps that would spoil a model are skipped without a trace; a training of such steps alone stops."""

import pytest
import torch
from torch import nn

from pipeline.core.errors import TrainingError
from pipeline.training.bad_steps import MAX_BROKEN_IN_A_ROW, StepGuard

CPU = torch.device("cpu")
NAMES = ["distance", "kl", "loss", "grad_norm"]


def new_guard():
    return StepGuard([nn.BatchNorm1d(2)], CPU)


def update(guard, step, norm=1.0, **broken):
    return bool(guard.update(step, torch.tensor([broken.get(name, 1.0) for name in NAMES[:-1]] + [norm])))


@pytest.fixture
def guard():
    """After 50 good steps."""
    guard = new_guard()
    assert all(update(guard, step) for step in range(50))
    return guard


@pytest.mark.parametrize("norm", [float("nan"), float("inf")])
def test_a_bad_norm_is_skipped_and_the_next_step_is_not(guard, norm):
    assert not update(guard, 50, norm) and not guard.is_last_accepted()
    assert update(guard, 51, 1e6) and guard.is_last_accepted()


def test_a_bad_term_is_skipped_though_the_norm_is_fine():
    assert not update(new_guard(), 0, kl=float("nan"))


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
    for step in range(51, 50 + MAX_BROKEN_IN_A_ROW):
        assert not update(guard, step, float("nan")) and not update(restored, step, float("nan"))
    for each in (guard, restored):
        with pytest.raises(TrainingError, match=r"^grad_norm not finite since step 51 .*, 20 steps"):
            each.raise_if_broken(NAMES, 100)
