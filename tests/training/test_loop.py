"""The loop learns, keeps the selected epoch, and stops with a reason."""

import functools
import itertools
import math

import pytest
import torch

from pipeline.core.errors import TrainingError
from pipeline.dataset.loader import ResidentLoader
from pipeline.losses.config import KLConfig
from pipeline.losses.objective import Objective
from pipeline.training.optimiser import MovingAverage
from pipeline.training.selection import selected_epoch
from pipeline.training.validate import validate
from tests.training import small
from tests.training.small import CPU, SHAPE, TRAIN, VALID, Recording, new_model, new_objective


def train(model=None, seed: int = 0, loss: Objective | None = None, **settings):
    model, callback = model or new_model(seed), Recording()
    fixed = {"epochs": 12, "learning_rate": 3e-3, "snapshots": 3}
    history, snapshots = small.train(model, loss or new_objective(), seed, callback, **(fixed | settings))
    assert callback.rows == history
    return model, history, snapshots


def test_the_loss_falls_and_the_error_is_far_below_that_of_the_train_mean():
    trained, history, _ = train()
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    x = ResidentLoader(VALID, CPU).batch(torch.arange(24)).x
    mean_error = (x - ResidentLoader(TRAIN, CPU).batch(torch.arange(96)).x.mean(0)).square().mean()
    assert validate(trained, ResidentLoader(VALID, CPU), new_objective(), 8)["valid_mse"] < 0.5 * float(mean_error)


def test_the_seed_decides_the_weights():
    first, again, other = (train(seed=s, epochs=2)[0].state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_streamed_windows_give_the_same_weights_as_resident_ones_in_the_same_order():
    memory, disk, other = (
        train(epochs=2, **settings)[0].state_dict() for settings in ({"order": "streamed"}, {"resident_gib": 0.0}, {})
    )
    assert all(torch.equal(memory[k], disk[k]) for k in memory)
    assert not all(torch.equal(memory[k], other[k]) for k in memory)


def test_the_weights_of_the_best_epoch_are_kept():
    trained, history, _ = train(learning_rate=0.05, schedule="constant", epochs=16)
    best = min(row["valid_loss"] for row in history)
    assert best < history[-1]["valid_loss"]  # else the last epoch is the best
    assert validate(trained, ResidentLoader(VALID, CPU), new_objective(), 16)["valid_loss"] == pytest.approx(
        best, rel=1e-4
    )


ADVERSARIAL = {"weight": 30.0, "start": 0.5}


def valid_loss(model) -> float:
    return validate(model, ResidentLoader(VALID, CPU), new_objective(), 16)["valid_loss"]


@pytest.mark.parametrize("average", [None, 0.9])
def test_the_last_epoch_is_kept_once_the_adversarial_phase_has_begun(average):
    """It has a higher validation loss, which has no adversarial term, than the epochs before the phase."""
    settings = {"learning_rate": 0.03, "schedule": "constant", "epochs": 8, "moving_average": average}
    trained, history, _ = train(loss=new_objective(adversarial=ADVERSARIAL), **settings)
    assert [row["adversarial_phase"] for row in history] == 4 * [0.0] + 4 * [1.0]
    assert all(bool(row["train_discriminator"]) == bool(row["adversarial_phase"]) for row in history)
    assert min(row["valid_loss"] for row in history) < history[-1]["valid_loss"] - 1
    assert valid_loss(trained) == pytest.approx(history[-1]["valid_loss"], rel=1e-4)


def test_without_an_adversarial_phase_the_lowest_validation_loss_selects_the_epoch():
    assert selected_epoch([3.0, 1.0, 2.0], []) == 1
    assert selected_epoch([3.0, 1.0, 2.0], [0.0, 0.0, 0.0]) == 1
    assert selected_epoch([3.0, 1.0, 2.0], [0.0, 0.0, 1.0]) == 2


def test_patience_stops_early():
    _, history, _ = train(learning_rate=0.05, schedule="constant", epochs=200, patience=3)
    losses = [row["valid_loss"] for row in history]
    assert len(history) < 200 and len(history) - 1 - losses.index(min(losses)) == 3


def test_validation_uses_the_final_beta_and_does_not_depend_on_the_batch_size():
    trained, history, _ = train(loss=new_objective(kl=KLConfig(beta=2.0, warmup=1.0)), epochs=3)
    row = history[0]
    assert row["beta"] < 2.0
    assert row["valid_loss"] == pytest.approx(row["valid_reconstruction"] + 2.0 * row["valid_kl"], rel=1e-6)
    loss = new_objective()
    small, large = (validate(trained, ResidentLoader(VALID, CPU), loss, size) for size in (5, 24))
    assert small == pytest.approx(large, rel=1e-4)


def test_every_term_is_logged_under_its_name():
    loss = new_objective(spectral={"weight": 0.1}, range=0.01, adversarial={"weight": 0.1})
    row = train(loss=loss, epochs=1)[1][0]
    for side in ("train", "valid"):
        assert {f"{side}_{name}" for name in ("distance", "spectral", "range")} <= set(row)
    assert {"train_adversarial", "train_discriminator"} <= set(row)
    assert not {"valid_adversarial", "valid_discriminator"} & set(row)  # they do not select the epoch
    plain = train(epochs=1)[1][0]
    assert not any(name.endswith(("spectral", "range", "adversarial")) for name in plain)


def test_learning_rate_warms_up_and_falls():
    rates = [row["learning_rate"] for row in train(epochs=10, warmup_steps=12)[1]]
    assert rates[0] < rates[1] and rates[-1] < 0.1 * max(rates)


def test_snapshots_hold_the_first_and_last_epoch():
    _, _, snapshots = train(epochs=7)
    assert snapshots.epochs == [1, 4, 7]
    assert snapshots.originals.shape == (4, 1, *SHAPE)
    assert {s.shape for s in snapshots.reconstructions} == {(4, 1, *SHAPE)}
    assert {s.shape for s in snapshots.samples} == {(9, 1, *SHAPE)}
    assert not torch.equal(snapshots.reconstructions[0], snapshots.reconstructions[-1])


def test_a_term_that_is_not_finite_stops_the_training_and_is_named():
    broken = new_model()
    with torch.no_grad():
        next(broken.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"^distance not finite since step 1 \(epoch 1\), 6 steps in a row"):
        train(broken)


def test_a_broken_step_is_skipped_and_many_stop_the_training(monkeypatch):
    broken = {7}

    def break_some(self, y, x, code, calls):
        terms = distances(self, y, x, code)
        return terms | ({"distance": terms["distance"] * math.nan} if next(calls) in broken else {})

    distances = Objective.distances
    for loss in ({}, {"adversarial": {"weight": 0.1}}):  # 6 training batches and 2 of validation an epoch
        monkeypatch.setattr(Objective, "distances", functools.partialmethod(break_some, calls=itertools.count(-1)))
        history = train(epochs=3, loss=new_objective(**loss))[1]
        assert [row["skipped_steps"] for row in history] == [0, 1, 0], loss
        assert all(math.isfinite(value) for row in history for value in row.values())
    broken = {step for step in range(100) if step % 3}
    monkeypatch.setattr(Objective, "distances", functools.partialmethod(break_some, calls=itertools.count(1)))
    with pytest.raises(TrainingError, match=r"^32 of 48 steps of epoch 1 were not finite, and skipped"):
        train(epochs=1, batch_size=2)


def test_averaged_weights_are_validated_and_kept():
    averaged, history, _ = train(epochs=4, moving_average=0.95)
    best = min(row["valid_loss"] for row in history)
    assert validate(averaged, ResidentLoader(VALID, CPU), new_objective(), 16)["valid_loss"] == pytest.approx(
        best, rel=1e-4
    )
    plain, _, _ = train(epochs=4)
    assert not any(torch.equal(a, b) for a, b in zip(averaged.parameters(), plain.parameters(), strict=True))


def test_a_moving_average_follows_the_weights():
    layer = torch.nn.Linear(2, 2)
    average = MovingAverage(layer, 0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.update(0)
    torch.testing.assert_close(average.model.weight, start + 0.9)  # the first step keeps little of the initial weights
    average.update(10_000)
    torch.testing.assert_close(average.model.weight, start + 0.91)


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_other_precisions_learn_and_restore_the_settings_of_torch(precision):
    before = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    trained, history, _ = train(epochs=4, precision=precision, deterministic=True)
    assert history[-1]["valid_loss"] < history[0]["valid_loss"]
    assert all(weight.dtype == torch.float32 for weight in trained.parameters())
    assert before == (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled())
