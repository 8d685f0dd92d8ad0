"""What a training will need is reckoned without a trace, and what does not fit is refused."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.core.errors import TrainingError
from pipeline.dataset.split import Split
from pipeline.training import memory
from pipeline.training.config import TrainConfig
from pipeline.training.live import Live
from pipeline.training.memory import Need, check, needed
from tests.models.test_contract import PARAMS, described, model_of, objective_of

MIB = 2**20
FAMILIES = ["mel_elbo", "mel_fc", "mel_hvae", "mel_vqvae", "mel_fsq", "mel_cvae", "wave_resnet", "wave_transformer"]
BF16 = partial(torch.autocast, "cpu", torch.bfloat16)


def need(name: str, batch_size: int = 8, **settings):
    return needed(model_of(name, 1.0)[0], objective_of(name, 1.0), batch_size, **settings)


def test_live_bytes_are_counted_once_until_they_are_freed():
    before = torch.zeros(1000)
    with Live([before]) as live:
        a = before + 1  # 4,000 bytes
        b = a.view(10, 100)[2:] * 2  # 3,200, and views of what is known
        del a
        before.add_(1)
        del b, before
        torch.zeros(1)
    assert live.timeline == [4000, 4000, 4000, 7200, 3200, -3996]


@pytest.mark.parametrize("precision", [nullcontext, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_need_is_known_for_every_family_and_grows_with_the_batch(name, precision):
    model, objective = model_of(name, 1.0)[0], objective_of(name, 1.0)
    parameters = sum(p.nbytes for p in model.parameters())
    small, large = (needed(model, objective, size, precision) for size in (8, 64))
    assert small.gradients == parameters and small.moments == 2 * parameters and small.copies >= parameters
    # Each window is there with its reconstruction, at the least.
    assert large.activations - small.activations > 56 * 2 * 4 * objective.signal.values
    assert large.activations > 2 * small.activations > 0


@pytest.mark.parametrize("name", ["mel_vqvae", "mel_conv"])
def test_reckoning_leaves_no_trace(name):
    model, objective = model_of(name, 1.0)[0], objective_of(name, 1.0)
    model.eval()
    state, numbers = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    needed(model, objective, 8)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert not model.training and all(p.grad is None for p in model.parameters())


def test_the_discriminator_counts_with_what_it_learns_by():
    name = "mel_conv"
    loss = PARAMS.models[name].loss.model_copy(update={"adversarial": 0.1})
    objective = type(objective_of(name, 1.0))(loss, objective_of(name, 1.0).signal)
    beside, plain = needed(model_of(name, 1.0)[0], objective, 8), need(name)
    assert beside.gradients - plain.gradients == sum(p.nbytes for p in objective.parameters()) > 0
    assert beside.activations > plain.activations
    assert not objective.adversary.optimiser.state


@pytest.mark.parametrize("name", ["mel_fc", "mel_hvae", "mel_vqvae", "wave_resnet"])
def test_tiny_batches_tell_what_a_large_one_holds(name, monkeypatch):
    reckoned = need(name, 32).activations
    monkeypatch.setattr(memory, "SMALL", 32)
    monkeypatch.setattr(memory, "LARGE", 33)
    assert need(name, 32).activations == pytest.approx(reckoned, rel=0.05)


def test_steps_that_went_different_ways_are_compared_by_their_peaks():
    found = Need(0, 0, 0, 0, 0, 10, ([5, 20, 0], [30, 5]))
    assert found.activations == 20 + 8 * 5
    assert found.largest(59) == 9 and found.largest(9) == 0


def test_what_does_not_fit_is_refused_with_the_batch_size_that_would():
    found = need("mel_conv", 64, moving_average=True, data=10 * MIB)
    check(found, found.more, "cuda")
    with pytest.raises(TrainingError, match=r"needs some 0\.\d+ GiB more \(.*\) and cuda has .* GiB free") as error:
        check(found, found.more - 20 * MIB, "cuda")
    text = str(error.value)
    assert "\n" not in text and all(part in text for part in ("activations", "data ", "moments", "copies"))
    largest = found.largest(found.more - 20 * MIB)
    assert f"lower train.batch_size to {largest}" in text and "resident_gib" not in text
    with pytest.raises(TrainingError, match=f"lower train.batch_size to {3 * largest}"):
        check(found, found.more - 20 * MIB, "cuda", ranks=3)
    fits = need("mel_conv", largest, moving_average=True, data=10 * MIB)
    assert fits.more <= found.more - 20 * MIB < need("mel_conv", largest + 1, moving_average=True, data=10 * MIB).more


def test_data_that_can_stay_away_from_the_device_is_said():
    found = need("mel_conv", data=500 * MIB)
    with pytest.raises(TrainingError, match=r"lower train\.resident_gib to 0\.\d+$"):
        check(found, found.more - 400 * MIB, "cuda")
    with pytest.raises(TrainingError, match=r"even a single window is too much: take a smaller network$"):
        check(need("mel_conv"), MIB, "cuda")


def test_a_moving_average_is_another_copy():
    plain, averaged = need("mel_fc"), need("mel_fc", moving_average=True)
    assert averaged.copies == 2 * plain.copies and averaged.more - plain.more == plain.copies


def split(number: int = 4) -> Split:
    shape, ids = tuple(described("mel_conv", 1.0)["shape"]), np.arange(number)
    return Split("mel", shape, np.zeros((number, *shape), np.float16), ids, ids.astype(str), np.repeat("a", number))


class OnDisk:
    """As a column of the cache that has not been read."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_before_a_training_the_memory_of_its_device_is_looked_at(monkeypatch):
    model, objective, cpu = model_of("mel_conv", 1.0)[0], objective_of("mel_conv", 1.0), torch.device("cpu")
    config = TrainConfig(batch_size=6, moving_average=0.9, resident_gib=2 * MIB / memory.GIB)
    splits = [split(), *(replace(split(), stored=OnDisk(size)) for size in (MIB, 3 * MIB))]
    found = memory.ensure(model, objective, splits, config, cpu)
    assert found.batch_size == 6 and found.copies == 2 * need("mel_conv").copies
    assert found.data == MIB  # of the others one is there, and one is streamed
    monkeypatch.setattr(memory, "available", lambda device: MIB)
    with pytest.raises(TrainingError, match=r"and cpu has 0\.00098 GiB free"):
        memory.ensure(model, objective, splits, config, cpu)
    memory.ensure(model, objective, splits, config.model_copy(update={"compile": True}), cpu)
    monkeypatch.setattr(memory, "available", lambda device: found.more)
    memory.ensure(model, objective, splits, config, cpu)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # the other half is another rank's
    with pytest.raises(TrainingError, match="needs some"):
        memory.ensure(model, objective, splits, config, cpu)
    monkeypatch.setattr(memory, "available", lambda device: None)
    assert memory.ensure(model, objective, splits, config, cpu) is None
