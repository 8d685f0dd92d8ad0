"""What is fitted in closed form before the first step of a training."""

import pytest
import torch

from pipeline.dataset.loader import ResidentLoader
from pipeline.losses.objective import Objective
from pipeline.training.config import TrainConfig
from pipeline.training.trainer import Trainer
from tests.training.small import CPU, TRAIN, VALID, new_model, new_objective

NETWORK = {"type": "conv2d", "channels": [8, 16], "components": 8}


def prepared(**settings) -> Trainer:
    trainer = Trainer(
        new_model(network=NETWORK), TRAIN, VALID, TrainConfig(batch_size=16, **settings), new_objective(), 0, CPU
    )
    trainer.prepare()
    return trainer


def first_batch(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    return next(iter(trainer.train_data.epoch(16, 0, 1)))


def test_a_training_starts_with_most_of_the_variance():
    model = prepared().model.eval()
    x = ResidentLoader(TRAIN, CPU).batch(torch.arange(96)).x
    with torch.no_grad():
        error = (model.reconstruct(x) - x).square().mean()
        other = ResidentLoader(VALID, CPU).batch(torch.arange(24)).x
        valid_error = (model.reconstruct(other) - other).square().mean()
    mean_error = (x - x.mean(0)).square().mean()
    assert error < 0.4 * mean_error and valid_error < 0.5 * mean_error


def test_a_moving_average_starts_with_the_fitted_model():
    trainer = prepared(moving_average=0.9)
    average = trainer.average.model.state_dict()
    assert average["components.components"].any()
    assert all(torch.equal(value, average[name]) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("broken_step", [0, 1])
def test_a_broken_step_leaves_the_fit_as_it_is(broken_step, monkeypatch):
    trainer, distances = prepared(), Objective.distances
    before = {name: value.clone() for name, value in trainer.model.components.state_dict().items()}
    trainer.model.train()
    if broken_step == 1:
        trainer.train_step(*first_batch(trainer))
    monkeypatch.setattr(Objective, "distances", lambda *a: {n: v * float("nan") for n, v in distances(*a).items()})
    trainer.train_step(*first_batch(trainer))
    assert not trainer.guard.is_last_accepted()
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.components.state_dict().items())
    backed_up = {buffer.data_ptr() for buffer in trainer.guard.buffers}
    assert backed_up and trainer.model.components.components.data_ptr() not in backed_up  # constant: no copy each step
