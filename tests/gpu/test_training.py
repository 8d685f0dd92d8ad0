"""Whole trainings on the GPU: every variant, bit for bit if they are deterministic, and compiled."""

import math

import pytest
import torch

from benchmarks.training.case import History
from pipeline.training import pca
from pipeline.training.loop import fit
from tests.gpu.cases import DEVICE, LEARNED, OPTIONS, make_trainer, needs_cuda
from tests.training.small import Recording
from tests.training.test_resume import KINDS, Killed, assert_same, run

pytestmark = pytest.mark.gpu
DETERMINISTIC = {"device": DEVICE, "deterministic": True}


@pytest.fixture(autouse=True)
def few_crops(monkeypatch):
    monkeypatch.setattr(pca, "MAX_CROPS", 64)


@pytest.mark.parametrize("name", [*LEARNED, *OPTIONS])
def test_every_variant_trains_on_the_device(name):
    average = {"moving_average": 0.9} if name in ("mel_vqvae", *OPTIONS) else {}
    trainer = make_trainer(name, **average)
    history, snapshots = fit(trainer, History())
    assert len(history) == 2 and all(math.isfinite(value) for row in history for value in row.values())
    assert all(x.isfinite().all() for x in (*snapshots.reconstructions, *snapshots.samples))
    tensors = [*trainer.selected_weights.values(), *trainer.objective.state_dict().values(), trainer.term_sums]
    tensors += [value for state in trainer.optimiser.state.values() for value in state.values()]
    assert {t.device.type for t in tensors if isinstance(t, torch.Tensor)} == {DEVICE.type}
    assert all(weight.dtype == torch.float32 for weight in trainer.model.parameters())


@pytest.mark.parametrize("name", [*LEARNED, *OPTIONS])
def test_two_deterministic_trainings_give_the_same_bits(name):
    first, second = (make_trainer(name, steps=2, deterministic=True) for _ in range(2))
    assert fit(first, History())[0] == fit(second, History())[0]
    weights = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_resumed_deterministic_training_gives_the_same_bits(kind, tmp_path):
    expected = run(kind, Recording(), **DETERMINISTIC)
    with pytest.raises(MemoryError):
        run(kind, Killed(8), tmp_path, **DETERMINISTIC)
    callback = Recording()
    assert_same(expected, run(kind, callback, tmp_path, **DETERMINISTIC))
    assert callback.start[1] > 0


@needs_cuda
def test_a_compiled_training_has_the_losses_of_one_that_is_not():
    histories = [fit(make_trainer("mel_fc", compile=value), History())[0] for value in (False, True)]
    plain, compiled = ([row["train_loss"] for row in history] for history in histories)
    assert compiled == pytest.approx(plain, rel=0.02)
