"""What every variant in params.yaml must do, at every window length."""

import copy

import pytest
import torch

from pipeline import params, schema
from pipeline.errors import DataError
from pipeline.losses import kl
from pipeline.losses.reconstruction import make
from pipeline.models import store
from pipeline.models.vae import build

RAW = params.read()
PARAMS = schema.load(RAW)
VARIANTS = sorted(PARAMS.models)


def model_of(name: str, seconds: float, **bottleneck):
    variant = PARAMS.models[name]
    representation = PARAMS.representations[variant.representation]
    shape = representation.shape(seconds)
    mel = representation.kind == "mel"
    stats = {"mean": [0.5] * shape[0] if mel else 0.0, "std": [0.2] * shape[0] if mel else 0.1}
    torch.manual_seed(0)
    middle = variant.bottleneck.model_copy(update=bottleneck)
    return build(variant.network, middle, shape, stats), shape, representation.kind, stats


def windows(shape, kind, number=4):
    values = torch.rand(number, 1, *shape, generator=torch.Generator().manual_seed(1))
    return values if kind == "mel" else (values - 0.5)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("name", VARIANTS)
def test_shapes(name, seconds):
    model, shape, kind, _ = model_of(name, seconds)
    x = windows(shape, kind, 2)
    y, code = model(x, torch.randn(2, model.latent_dims))
    assert y.shape == x.shape
    assert {t.shape for t in (code.z, code.mean, code.std, code.prior_mean, code.prior_std)} == {(2, model.latent_dims)}
    assert model.sample(torch.randn(3, model.latent_dims)).shape == (3, 1, *shape)
    assert (code.std > 0).all()


@pytest.mark.parametrize("layout", ["vector", "sequence"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_learns_in_either_layout(name, layout):
    model, shape, kind, _ = model_of(name, 1.0, layout=layout, latent=3)
    loss = PARAMS.models[name].loss
    values = int(torch.tensor(shape).prod())
    term = make(loss.reconstruction, kind, values)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    x = windows(shape, kind)
    for _ in range(3):
        y, code = model(x, torch.randn(4, model.latent_dims))
        total = term.nats(term.distance(y, x)).mean() + kl.ESTIMATORS[loss.kl.estimator](code).sum(1).mean()
        optimiser.zero_grad()
        (total / values).backward()
        optimiser.step()
    assert torch.isfinite(total)
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize("name", VARIANTS)
def test_evaluation_is_deterministic_and_keeps_windows_apart(name):
    model, shape, kind, _ = model_of(name, 1.0)
    model.eval()
    x = windows(shape, kind)
    with torch.no_grad():
        whole, alone = model(x)[0], torch.cat([model(row[None])[0] for row in x])
        assert torch.equal(whole, model(x)[0])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_saved_parts_come_back_bit_equal(name, tmp_path):
    model, shape, kind, stats = model_of(name, 1.0)
    model.train()(windows(shape, kind))  # moves running statistics
    variant = PARAMS.models[name]
    description = {
        "network": variant.network.model_dump(),
        "bottleneck": variant.bottleneck.model_dump(),
        "shape": list(shape),
        "stats": stats,
    }
    store.save(tmp_path, model, description)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bottleneck.safetensors",
        "config.json",
        "decoder.safetensors",
        "encoder.safetensors",
    ]
    loaded, _ = store.load(tmp_path)
    x = windows(shape, kind)
    with torch.no_grad():
        assert torch.equal(loaded(x)[0], model.eval()(x)[0])
    (tmp_path / "decoder.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="not a usable model"):
        store.load(tmp_path)


@pytest.mark.parametrize("name", VARIANTS)
def test_one_batch_can_be_learnt(name):
    model, shape, kind, _ = model_of(name, 1.0, layout="vector", latent=32)
    time = torch.linspace(0, 1, shape[-1])
    rows = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (2, 3, 5, 7)])
    x = (0.5 + 0.4 * rows[:, None, None].expand(-1, 1, *shape)) if kind == "mel" else 0.4 * rows[:, None]
    before = copy.deepcopy(model).eval()(x)[0]
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(150):
        error = (model(x)[0] - x).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert error < 0.1 * x.var() and error < 0.1 * (before - x).square().mean()


@pytest.mark.parametrize("head", ["linear", "sigmoid"])
@pytest.mark.parametrize("name", VARIANTS)
def test_heads_stay_on_the_scale_of_the_data(name, head):
    variant = PARAMS.models[name]
    representation = PARAMS.representations[variant.representation]
    shape = representation.shape(1.0)
    stats = (
        {"mean": [0.5] * shape[0], "std": [0.2] * shape[0]}
        if representation.kind == "mel"
        else {"mean": 0.0, "std": 0.1}
    )
    model = build(variant.network.model_copy(update={"head": head}), variant.bottleneck, shape, stats)
    y = model(windows(shape, representation.kind))[0]
    if head == "sigmoid":
        assert y.min() >= (0 if representation.kind == "mel" else -1) and y.max() <= 1
    assert abs(float(y.detach().mean()) - (0.5 if representation.kind == "mel" else 0.0)) < 0.2
