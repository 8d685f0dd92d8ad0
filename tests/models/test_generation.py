"""Samples, interpolations, perturbations and transfers of every variant in params.yaml, and paths between latents."""

import math
from functools import cache

import pytest
import torch

from pipeline.models.vae import VAE, interpolate_latents
from tests.models.variants import LABELS, LEARNED, PARAMS, description_of, make_model, windows

CONDITIONAL = [name for name in LEARNED if PARAMS.models[name].condition]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@cache
def trained(name: str, skip: bool = False) -> tuple[VAE, torch.Tensor]:
    """A model in evaluation mode after one step of training, so that no weight is zero, and four windows.

    Tests only read them.
    """
    network = {"skip": True, "components": None, "channels": [4, 8], "strides": 4} if skip else None
    model, shape, kind = make_model(name, network)
    x = windows(shape, kind)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    with torch.enable_grad():
        (model(x, torch.randn(4, model.latent_dims, generator=generator()), LABELS)[0] - x).square().mean().backward()
    optimiser.step()
    if PARAMS.models[name].bottleneck.type == "fsq":  # untrained, all encodings lie in one cell of the grid
        model.bottleneck.to_code.weight.data *= 30
    return model.eval(), x


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_samples_depend_on_the_generator_and_on_labels(name):
    model, x = trained(name)
    first, again, other = (model.sample(4, generator(seed), LABELS) for seed in (0, 0, 1))
    assert first.shape == x.shape and torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(first, model.sample(4, generator(), 3 - LABELS)) == (model.condition is None)


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_interpolation_starts_and_ends_at_the_reconstructions(name):
    model, x = trained(name)
    for mode in ("linear", "slerp"):
        path = model.interpolate(x[0], x[1], 5, mode, LABELS[:2])
        assert path.shape == (5, *x.shape[1:]) and torch.isfinite(path).all()
        torch.testing.assert_close(path[[0, -1]], model.reconstruct(x[:2], LABELS[:2]), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(path[0], path[-1])


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_a_perturbation_grows_with_its_scale(name):
    model, x = trained(name)
    y = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.perturb(x, 0.0, generator(), LABELS), y, atol=1e-5, rtol=1e-4)
    near, far = (float((model.perturb(x, s, generator(), LABELS) - y).square().mean()) for s in (0.1, 3.0))
    assert near < far
    assert torch.equal(model.perturb(x, 1.0, generator(), LABELS), model.perturb(x, 1.0, generator(), LABELS))
    assert not torch.allclose(model.perturb(x, 3.0, generator(1), LABELS), model.perturb(x, 3.0, generator(2), LABELS))


@pytest.mark.parametrize("name", [name for name in LEARNED if "skip" in description_of(name)["network"]])
@torch.no_grad()
def test_edits_of_a_window_use_its_skips(name):
    model, x = trained(name, skip=True)
    y = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.perturb(x, 0.0, generator(), LABELS), y)
    torch.testing.assert_close(model.interpolate(x[0], x[1], 3, label=LABELS[:2])[[0, -1]], y[:2])
    z = model.encode(x, None, LABELS).mean
    assert not torch.allclose(model.decode(z, LABELS), y)  # or the skips would have no effect


@pytest.mark.parametrize("name", CONDITIONAL)
@torch.no_grad()
def test_a_transfer_to_the_same_label_is_the_reconstruction(name):
    model, x = trained(name)
    y = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.transfer(x, LABELS, LABELS), y)
    assert not torch.allclose(model.transfer(x, LABELS, 3 - LABELS), y)


def test_a_transfer_needs_a_condition():
    model, x = trained("mel_conv")
    with pytest.raises(ValueError, match="has no labels"):
        model.transfer(x, LABELS, LABELS)


def test_linear_and_slerp_on_a_quarter_circle():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    expected = torch.tensor([[2.0, 0.0], [1.0, 2.0], [0.0, 4.0]])
    torch.testing.assert_close(interpolate_latents(a, b, 3, "linear"), expected)
    half = 3 * math.sqrt(0.5)  # at 45 degrees, with the length half-way from 2 to 4
    expected = torch.tensor([[2.0, 0.0], [half, half], [0.0, 4.0]])
    torch.testing.assert_close(interpolate_latents(a, b, 3, "slerp"), expected)


def test_slerp_has_a_constant_angular_speed_and_a_linear_length():
    a, b = torch.randn(2, 64, generator=generator())
    path = interpolate_latents(a, b, 9, "slerp")
    torch.testing.assert_close(path.norm(dim=1), torch.linspace(float(a.norm()), float(b.norm()), 9))
    unit = path / path.norm(dim=1, keepdim=True)
    angles = (unit[1:] * unit[:-1]).sum(1).clamp(-1, 1).arccos()
    torch.testing.assert_close(angles, angles[:1].expand(8), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]))


@pytest.mark.parametrize("b", [[3.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_without_a_unique_arc_is_linear(b):
    a, b = torch.tensor([1.0, 0.0]), torch.tensor(b)
    torch.testing.assert_close(interpolate_latents(a, b, 4, "slerp"), interpolate_latents(a, b, 4, "linear"))


@pytest.mark.parametrize(("steps", "mode"), [(1, "linear"), (3, "cubic")])
def test_unknown_modes_and_single_steps_are_errors(steps, mode):
    with pytest.raises(ValueError, match="linear or slerp and at least 2 steps"):
        interpolate_latents(torch.ones(2), torch.zeros(2), steps, mode)
    model, x = trained("mel_conv")
    with pytest.raises(ValueError, match="linear or slerp"):
        model.interpolate(x[0], x[1], steps, mode)
