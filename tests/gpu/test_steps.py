"""A training step on the GPU: the numbers of the CPU, and no wait of the host."""

import pytest
import torch

from pipeline.models.bottlenecks.vq import KMEANS_BATCHES
from pipeline.training import pca
from pipeline.training.batch_loss import batch_loss
from pipeline.training.device import autocast, numerics
from pipeline.training.trainer import NATS
from tests.gpu.cases import CPU, DEVICE, LEARNED, OPTIONS, make_trainer, needs_cuda

pytestmark = pytest.mark.gpu
MIN_COSINE = {"fp32": 0.999, "bf16": 0.98}
ROUGH = ["wave_full"]  # its gradient, of logarithms of noise, already follows errors of 0.4 % in 32 bits


@pytest.fixture(autouse=True)
def few_crops(monkeypatch):
    monkeypatch.setattr(pca, "MAX_CROPS", 64)


def step(trainer, x, noise, label):
    """The terms of a step half-way through a training, per value of a window, and the gradient of all weights."""
    model, objective = trainer.step_model.train(), trainer.objective
    model.bottleneck.training = False  # else a codebook moves codes to encodings that each device draws for itself
    with numerics(trainer.config, trainer.device), autocast(trainer.config, trainer.device):
        x, noise, label = (value.to(trainer.device) for value in (x, noise, label))
        loss, terms = batch_loss(model, objective, x, noise, label, 0.5)
    (loss / objective.signal.size).backward()
    terms |= {name: terms[name] / objective.signal.size for name in NATS}
    terms = {name: float(term) for name, term in terms.items()}
    return terms, torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("name", [*LEARNED, *OPTIONS])
def test_terms_and_gradients_are_those_of_the_cpu(name):
    reference = make_trainer(name, CPU, precision="fp32")
    reference.prepare()
    weights = {key: value.clone() for key, value in reference.model.state_dict().items()}
    x, label = reference.train_data.batch(torch.arange(reference.config.batch_size))
    noise = torch.randn(len(x), reference.step_model.latent_dims, generator=torch.Generator().manual_seed(0))
    expected, gradient = step(reference, x, noise, label)
    for precision, min_cosine in MIN_COSINE.items():
        trainer = make_trainer(name, precision=precision)
        trainer.model.load_state_dict(weights)
        terms, found = step(trainer, x, noise, label)
        cosine = float(torch.nn.functional.cosine_similarity(found.double(), gradient.double(), dim=0))
        assert cosine > min_cosine or (name in ROUGH and precision == "bf16"), precision
        tolerance = 1e-3 if precision == "fp32" else 0.03
        assert terms == pytest.approx(expected, rel=tolerance, abs=tolerance), precision


@needs_cuda
@pytest.mark.parametrize("name", [*LEARNED, *OPTIONS])
def test_no_step_waits_for_the_device(name):
    augment = {"augment": {"flip_polarity": True}} if name.startswith("wave") else {}
    trainer = make_trainer(name, steps=KMEANS_BATCHES + 10, moving_average=0.9, **augment)
    with numerics(trainer.config, DEVICE):
        trainer.prepare()
        batches = trainer.train_data.epoch(trainer.config.batch_size, 0, 1)
        for number, batch in enumerate(batches):
            trainer.train_step(*batch)
            if number == KMEANS_BATCHES + 2:
                break
        torch.cuda.set_sync_debug_mode("error")
        try:
            for batch in batches:
                trainer.train_step(*batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
