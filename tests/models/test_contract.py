"""What every variant in params.yaml must do, at every window length; a baseline all but what is learnt."""

import numpy as np
import pytest
import torch

from pipeline.core import params
from pipeline.core.errors import DataError
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models import store
from pipeline.models.signal import Signal
from pipeline.models.vae import build
from pipeline.schema import schema
from pipeline.training import pca

RAW = params.read_params()
PARAMS = schema.load(RAW)
VARIANTS = sorted(PARAMS.models)
LEARNED = [name for name in VARIANTS if PARAMS.models[name].loss]
LABELS = torch.tensor([0, 1, 2, 3])  # of three labels, and one that is not known


def described(name: str, seconds: float, network: dict | None = None, **bottleneck) -> dict:
    """config.json of an untrained model of the variant."""
    variant = PARAMS.models[name]
    representation = PARAMS.representations[variant.representation]
    shape = representation.shape(seconds)
    mel = representation.kind == "mel"
    return {
        **variant.model_dump(include={"network", "bottleneck", "scaling", "condition"}),
        "network": variant.network.model_dump() | (network or {}),
        "bottleneck": variant.bottleneck.model_dump() | bottleneck,
        "representation": representation.model_dump(),
        "kind": representation.kind,
        "shape": list(shape),
        "labels": ["a", "b", "c"] if variant.condition else [],
        "stats": {"mean": [0.5] * shape[0] if mel else 0.0, "std": [0.2] * shape[0] if mel else 0.1},
    }


def model_of(name: str, seconds: float, network: dict | None = None, **bottleneck):
    description = described(name, seconds, network, **bottleneck)
    torch.manual_seed(0)
    model, shape, kind = build(description), tuple(description["shape"]), description["kind"]
    if model.bottleneck.baseline:
        stored = (80 * (windows(shape, kind, 9)[:, 0] - 1)).half() if kind == "mel" else windows(shape, kind, 9)[:, 0]
        ids = np.arange(9)
        data = Split(kind, shape, stored.numpy(), ids, ids.astype(str), np.repeat("a", 9))
        pca.fit(model, data, data, lambda row: None)
    return model, shape, kind


def objective_of(name: str, seconds: float) -> Objective:
    return Objective(PARAMS.models[name].loss, Signal.of(described(name, seconds)))


def windows(shape, kind, number=4):
    values = torch.rand(number, 1, *shape, generator=torch.Generator().manual_seed(1))
    return values if kind == "mel" else (values - 0.5)


@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("name", VARIANTS)
def test_shapes(name, seconds):
    model, shape, kind = model_of(name, seconds)
    x = windows(shape, kind, 2)
    y, code = model(x, torch.randn(2, model.latent_dims), LABELS[:2])
    assert y.shape == x.shape
    assert code.z.shape == code.mean.shape == (2, model.latent_dims)
    assert all(t.shape == code.z.shape for t in (code.std, code.prior_mean, code.prior_std) if t is not None)
    assert model.sample(3, torch.Generator().manual_seed(0)).shape == (3, 1, *shape)
    if name not in LEARNED:
        return
    objective = objective_of(name, seconds)
    divergence = objective.divergence(code)
    assert len(divergence) == 2 and divergence.dim() == 2
    total = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
    assert torch.isfinite(total + objective.regulariser(divergence, code, 0.5))


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_learns_after_three_steps(name):
    model, shape, kind = model_of(name, 1.0)
    objective = objective_of(name, 1.0)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    x = windows(shape, kind)
    for _ in range(3):
        y, code = model(x, torch.randn(4, model.latent_dims), LABELS)
        nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
        total = nats + objective.regulariser(objective.divergence(code), code, 0.5)
        optimiser.zero_grad()
        (total / objective.signal.values).backward()
        optimiser.step()
    assert torch.isfinite(total)
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


@pytest.mark.parametrize("name", VARIANTS)
def test_evaluation_is_deterministic_and_keeps_windows_apart(name):
    model, shape, kind = model_of(name, 1.0)
    model.eval()
    x = windows(shape, kind)
    with torch.no_grad():
        whole, alone = model(x)[0], torch.cat([model(row[None])[0] for row in x])
        assert torch.equal(whole, model(x)[0])
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_saved_parts_come_back_bit_equal(name, tmp_path):
    model, shape, kind = model_of(name, 1.0)
    model.train()(windows(shape, kind), torch.randn(4, model.latent_dims), LABELS)  # moves running statistics
    fitted = {"latent": model.latent_dims} if model.bottleneck.baseline else {}
    store.save(tmp_path, model, described(name, 1.0, **fitted))
    parts = {"encoder", "bottleneck", "decoder"} | ({"condition"} if model.condition else set())
    assert {p.name for p in tmp_path.iterdir()} == {f"{part}.safetensors" for part in parts} | {"config.json"}
    loaded, _ = store.load(tmp_path)
    x = windows(shape, kind)
    with torch.no_grad():
        assert torch.equal(loaded(x, None, LABELS)[0], model.eval()(x, None, LABELS)[0])
    (tmp_path / "decoder.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="not a usable model"):
        store.load(tmp_path)


@pytest.mark.parametrize("name", LEARNED)
def test_one_batch_can_be_learnt(name):
    model, shape, kind = model_of(name, 1.0)
    time = torch.linspace(0, 1, shape[-1])
    rows = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (2, 3, 5, 7)])
    x = (0.5 + 0.4 * rows[:, None, None].expand(-1, 1, *shape)) if kind == "mel" else 0.4 * rows[:, None]
    objective = objective_of(name, 1.0)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    error = torch.inf
    while error >= 0.15 * x.var() and len(losses) < 150:
        for _ in range(25):
            y, code = model.train()(x, torch.randn(4, model.latent_dims), LABELS)
            nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
            total = (nats + objective.regulariser(objective.divergence(code), code, 0.0)) / objective.signal.values
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            losses.append(float(total.detach()))
        error = (model.eval().reconstruct(x, LABELS) - x).square().mean()
    assert min(losses[-20:]) < min(losses[:5])
    assert error < 0.15 * x.var()


@pytest.mark.parametrize("head", ["linear", "sigmoid"])
@pytest.mark.parametrize("name", LEARNED)
def test_heads_stay_on_the_scale_of_the_data(name, head):
    model, shape, kind = model_of(name, 1.0, network={"head": head})
    y = model(windows(shape, kind))[0]
    if head == "sigmoid":
        assert y.min() >= (0 if kind == "mel" else -1) and y.max() <= 1
    assert abs(float(y.detach().mean()) - (0.5 if kind == "mel" else 0.0)) < 0.2
