"""Steps that would spoil a model leave no trace; a training that makes no others ends."""

import pytest
import torch
from torch import nn

from pipeline.core.errors import TrainingError
from pipeline.training.bad_steps import IN_A_ROW, SETTLED, Guard

CPU = torch.device("cpu")
NAMES = ["distance", "kl", "loss", "grad_norm"]


def guard():
    return Guard([nn.BatchNorm1d(2)], CPU)


def judge(made, step, norm=1.0, **broken):
    return bool(made.judge(step, torch.tensor([broken.get(name, 1.0) for name in NAMES[:-1]] + [norm])))


def settled():
    made = guard()
    assert all(judge(made, step) for step in range(SETTLED))
    return made


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), 1e6])
def test_a_bad_norm_is_skipped_and_the_next_step_is_not(norm):
    made = settled()
    assert not judge(made, 50, norm) and judge(made, 51)
    assert float(made.state["skipped"]) == 1


def test_a_bad_term_is_skipped_though_the_norm_is_fine():
    assert not judge(guard(), 0, kl=float("nan"))


def test_large_norms_of_the_first_steps_are_borne():
    made = guard()
    assert all(judge(made, step, norm) for step, norm in enumerate([1.0, 500.0, 1.0]))


def test_a_level_that_stays_is_accepted_after_a_while():
    made = settled()
    found = [judge(made, 50 + step, 1e4) for step in range(12)]
    assert not found[0] and found[-1] and found == sorted(found)


def test_a_spike_among_the_first_steps_does_not_open_the_door():
    made = guard()
    for step in range(SETTLED):
        judge(made, step, 1e6 if step == 10 else 1.0)
    assert not judge(made, SETTLED, 1e5)


def test_statistics_of_a_skipped_step_are_put_back():
    norm = nn.BatchNorm1d(2)
    made = Guard([norm], CPU)
    norm(torch.randn(8, 2))
    made.judge(0, torch.ones(4))
    kept = norm.running_mean.clone()
    norm(torch.full((8, 2), float("nan")))
    made.judge(1, torch.tensor([1.0, 1.0, float("nan"), 1.0]))
    assert torch.equal(norm.running_mean, kept) and kept.abs().sum() > 0


def test_too_many_broken_steps_in_a_row_name_the_first_terms_and_the_step():
    made = settled()
    for step in range(IN_A_ROW):
        made.check(NAMES, 16)
        judge(made, 50 + step, float("nan"), kl=float("inf") if step else 1.0, distance=float("nan"))
    with pytest.raises(TrainingError, match=r"^distance not finite since step 51 \(epoch 4\), 20 steps"):
        made.check(NAMES, 16)


def test_where_only_the_gradient_is_broken_it_is_named():
    made = settled()
    for step in range(IN_A_ROW):
        judge(made, 50 + step, float("inf"))
    with pytest.raises(TrainingError, match=r"^grad_norm not finite since step 51 "):
        made.check(NAMES, 100)


def test_it_goes_on_where_it_was_saved():
    made, other = settled(), guard()
    judge(made, 50, float("nan"))
    other.load_state_dict(made.state_dict())
    assert [judge(made, 51, 150.0), judge(other, 51, 150.0)] == [True, True]  # the limit has doubled
    assert made.state == other.state
