"""The optimiser, learning rates and early stopping."""

import pytest
import torch

from pipeline.training.config import TrainConfig
from pipeline.training.optimiser import count_plateaus, learning_rate, make_optimiser
from pipeline.training.selection import stops_early


def config(**settings):
    return TrainConfig(**{"learning_rate": 0.1, "warmup_steps": 0, **settings})


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_optimiser_has_the_betas_of_the_params(name):
    def betas(**settings):
        parameters = [torch.nn.Parameter(torch.zeros(1))]
        return make_optimiser(parameters, config(optimiser=name, **settings), torch.device("cpu")).defaults["betas"]

    assert betas() == (0.9, 0.99) and betas(betas=[0.8, 0.95]) == (0.8, 0.95)


def test_warm_up_rises_in_equal_steps_to_the_rate():
    rates = [learning_rate(step, 100, config(warmup_steps=4, schedule="constant")) for step in range(6)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])


def test_cosine_falls_to_a_hundredth():
    rates = [learning_rate(step, 100, config(schedule="cosine")) for step in (0, 50, 100)]
    assert rates == pytest.approx([0.1, 0.0505, 0.001])


def test_each_plateau_lowers_the_rate_once():
    settings = config(schedule="plateau", plateau={"patience": 2, "factor": 0.1})
    improving, waiting = [5.0, 4.0, 3.0], [5.0, 4.0, 4.1, 4.2, 4.3]
    assert learning_rate(9, 100, settings, improving) == 0.1
    assert learning_rate(9, 100, settings, waiting[:-1]) == 0.1
    assert learning_rate(9, 100, settings, waiting) == pytest.approx(0.01)
    assert learning_rate(9, 100, settings, [*waiting, 4.4, 4.5]) == pytest.approx(0.01)
    assert learning_rate(9, 100, settings, [*waiting, 4.4, 4.5, 4.6]) == pytest.approx(0.001)
    assert count_plateaus([*waiting, 3.0, 3.1, 3.2], 2) == 1


def test_patience_counts_epochs_since_the_best_one():
    assert not stops_early([3.0, 2.0, 2.5], 2) and stops_early([3.0, 2.0, 2.5, 2.1], 2)
    assert not stops_early([3.0, 4.0, 5.0, 6.0], None)
