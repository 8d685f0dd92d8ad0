"""The contract of every variant in params.yaml, for any window length. Baselines do not train."""

from typing import get_args

import pytest
import torch

from pipeline.core.errors import DataError
from pipeline.models import store
from pipeline.models.vae import VAE
from pipeline.training.batch_loss import batch_loss
from tests.models.variants import (
    LABELS,
    LEARNED,
    PARAMS,
    VARIANTS,
    description_of,
    make_model,
    make_objective,
    minimise,
    shared_model,
    windows,
)


def train(model, objective, x, optimiser, steps: int, progress: float) -> list[float]:
    def loss() -> torch.Tensor:
        noise = torch.randn(4, model.latent_dims)
        return batch_loss(model.train(), objective, x, noise, LABELS, progress)[0] / objective.signal.size

    return minimise(optimiser, loss, steps)


@pytest.mark.parametrize("seconds", [1.0, 30.0])
@pytest.mark.parametrize("name", VARIANTS)
def test_shapes(name, seconds):
    description = description_of(name, seconds)
    model = VAE(description)
    x = windows(tuple(description["shape"]), description["kind"], 2)
    y, code = model(x, torch.randn(2, model.latent_dims), LABELS[:2])
    assert y.shape == x.shape
    assert code.z.shape == code.mean.shape == (2, model.latent_dims)
    assert code.std is None or code.std.shape == code.z.shape
    assert model.sample(3, torch.Generator().manual_seed(0)).shape == (3, *x.shape[1:])
    if name not in LEARNED:
        return
    objective = make_objective(name, seconds)
    divergence = objective.divergence(code)
    assert len(divergence) == 2 and divergence.dim() == 2
    nll = objective.nll(objective.combine(objective.distances(y, x, code))).mean()
    assert torch.isfinite(nll + objective.regulariser(divergence, code, 0.5))


@pytest.mark.parametrize("name", VARIANTS)
def test_inference_mode_changes_nothing(name):
    model, x = shared_model(name)
    with torch.no_grad():
        expected = model.reconstruct(x, LABELS)
    with torch.inference_mode():
        assert torch.equal(model.reconstruct(x.clone(), LABELS.clone()), expected)


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_gets_a_gradient_after_three_steps(name):
    model, shape, kind = make_model(name)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = train(model, make_objective(name), windows(shape, kind), optimiser, 3, 0.5)
    assert torch.isfinite(torch.tensor(losses)).all()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", VARIANTS)
def test_evaluation_is_deterministic_and_treats_each_window_separately(name):
    model, x = shared_model(name)
    with torch.no_grad():
        batch, single = model(x)[0], torch.cat([model(row[None])[0] for row in x])
        assert torch.equal(batch, model(x)[0])
    torch.testing.assert_close(batch, single, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_model_loads_bit_equal(name, tmp_path):
    model, shape, kind = make_model(name)
    x = windows(shape, kind)
    model.train()(x, torch.randn(4, model.latent_dims), LABELS)  # moves running statistics
    fitted = {"latent": model.latent_dims} if model.bottleneck.baseline else {}
    store.save(tmp_path, model, description_of(name, **fitted))
    optional = {part for part in ("condition", "components") if getattr(model, part) is not None}
    parts = {"encoder", "bottleneck", "decoder"} | optional
    assert {p.name for p in tmp_path.iterdir()} == {f"{part}.safetensors" for part in parts} | {"config.json"}
    loaded, _ = store.load(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded(x, None, LABELS)[0], model.eval()(x, None, LABELS)[0])


def test_a_damaged_or_missing_file_of_a_model_is_named(tmp_path):
    model, _ = shared_model("mel_vqvae")
    store.save(tmp_path, model, description_of("mel_vqvae"))
    (tmp_path / "decoder.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"decoder\.safetensors: damaged .*; run `dvc repro`"):
        store.load(tmp_path)
    (tmp_path / "encoder.safetensors").write_bytes((tmp_path / "bottleneck.safetensors").read_bytes())
    with pytest.raises(DataError, match=r"encoder\.safetensors: damaged .*Missing key"):
        store.load(tmp_path)
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(DataError, match=r"encoder\.safetensors: missing"):
        store.load(tmp_path)
    (tmp_path / "config.json").write_text('{"network": {"type": "conv2d"}}', encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json: damaged"):
        store.load(tmp_path)


# What an inverse encoder reads is decided by its components: tests/models/test_probabilistic_pca.py has its own test.
@pytest.mark.parametrize("name", [name for name in LEARNED if not shared_model(name)[0].is_inverse])
def test_one_batch_can_be_learned(name):
    model, shape, kind = make_model(name)
    time = torch.linspace(0, 1, shape[-1])
    rows = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (2, 3, 5, 7)])
    x = (0.5 + 0.4 * rows[:, None, None].expand(-1, 1, *shape)) if kind == "mel" else 0.4 * rows[:, None]
    objective = make_objective(name)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses: list[float] = []
    error = torch.inf
    while error >= 0.15 * x.var() and len(losses) < 300:
        losses += train(model, objective, x, optimiser, 25, 0.0)
        error = (model.eval().reconstruct(x, LABELS) - x).square().mean()
    assert min(losses[-20:]) < min(losses[:5])
    assert error < 0.15 * x.var()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        (name, head)
        for name in LEARNED
        for head in get_args(type(PARAMS.models[name].network).model_fields["head"].annotation)
        if head in ("linear", "sigmoid", "polar")
    ],
)
def test_heads_stay_on_the_scale_of_the_data(name, head):
    components = {} if head == "linear" else {"components": None}
    model, shape, kind = make_model(name, {"head": head} | components)
    with torch.no_grad():
        y = model(windows(shape, kind))[0]
    if head == "sigmoid":
        assert y.min() >= (0 if kind == "mel" else -1) and y.max() <= 1
    assert abs(float(y.mean()) - (0.5 if kind == "mel" else 0.0)) < 0.2
