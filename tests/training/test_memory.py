"""Before a training the memory is checked without a trace; an error says what to lower."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.core.errors import TrainingError
from pipeline.dataset.split import Split
from pipeline.losses.config import AdversarialConfig
from pipeline.training import memory
from pipeline.training.config import TrainConfig
from tests.models.variants import PARAMS, description_of, make_model, make_objective

CPU, GPU = torch.device("cpu"), torch.device("cuda")
CONFIG = TrainConfig(batch_size=4)


@pytest.mark.parametrize("name", ["mel_vqvae", "mel_conv"])
def test_a_probe_changes_neither_model_nor_losses_nor_random_state(name):
    model, objective = make_model(name)[0].eval(), make_objective(name, 1.0)
    adversarial = AdversarialConfig(weight=0.1, start=0.9)  # the probe has all terms
    loss = PARAMS.models[name].loss.model_copy(update={"adversarial": adversarial})
    objective = type(objective)(loss, objective.signal)
    tensors = [t for part in (model, objective) for t in (*part.parameters(), *part.buffers())]
    before, random_state = copy.deepcopy(tensors), torch.get_rng_state()
    memory.probe_step(model, objective, CONFIG.model_copy(update={"moving_average": 0.9}), CPU, data_bytes=10)
    assert all(map(torch.equal, tensors, before))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not model.training and all(p.grad is None for p in model.parameters())
    assert not objective.adversary.optimiser.state


def test_a_gpu_is_probed_with_the_real_batch_unless_the_model_is_compiled(monkeypatch):
    probes = []
    monkeypatch.setattr(memory, "probe_step", lambda *arguments: probes.append(arguments[2:]))
    for settings in (CONFIG, CONFIG.model_copy(update={"compile": True})):
        memory.check_memory(None, None, [split(), split(), split(6 * memory.GIB)], settings, GPU)
    assert probes == [(CONFIG, GPU, 2 * split().nbytes)]  # the third split is streamed


@pytest.mark.parametrize(
    "fail",
    [
        lambda: torch.empty(2**60, dtype=torch.uint8),  # the CPU's allocator
        lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
        lambda: (_ for _ in ()).throw(RuntimeError("MPS backend out of memory")),
    ],
    ids=["cpu", "cuda", "mps"],
)
def test_missing_memory_becomes_an_error_that_says_what_to_lower(fail):
    expected = "cpu has too little memory; lower train.batch_size or train.resident_gib, or take a smaller network"
    with pytest.raises(TrainingError, match=f"^{expected}$"), memory.explain_out_of_memory(CPU):
        fail()


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes"), memory.explain_out_of_memory(CPU):
        raise RuntimeError("shapes differ")


def test_on_a_cpu_resident_data_and_weights_must_fit_into_free_memory(monkeypatch):
    model, objective = make_model("mel_conv", {"components": None})[0], make_objective("mel_conv", 1.0)
    weights = 4 * sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    splits = [split(2 * memory.GIB), split(5 * memory.GIB), split()]  # to load, streamed, loaded already

    def check(available):
        monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=available))
        memory.check_memory(model, objective, splits, CONFIG, CPU)

    check(2 * memory.GIB + weights)
    message = r"needs at least 2\.\d+ GiB of memory and 2 GiB are free; lower train\.resident_gib or take a smaller"
    with pytest.raises(TrainingError, match=message):
        check(2 * memory.GIB)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # another rank needs the other half
    with pytest.raises(TrainingError, match="needs at least"):
        check(2 * memory.GIB + weights)


def split(nbytes: int | None = None) -> Split:
    """A split of four windows: in memory, or on disk with so many bytes."""
    shape, ids = tuple(description_of("mel_conv", 1.0)["shape"]), np.arange(4)
    stored = np.zeros((4, *shape), np.float16) if nbytes is None else SimpleNamespace(nbytes=nbytes)
    return Split("mel", shape, stored, ids, ids.astype(str), np.repeat("a", 4))
