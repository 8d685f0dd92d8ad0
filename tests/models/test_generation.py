"""What every variant in params.yaml can make of latents, and the ways between two of them."""

import math

import pytest
import torch

from pipeline.models.latents import between
from tests.models.test_contract import LABELS, LEARNED, PARAMS, described, model_of, windows


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(name: str, **network):
    """A model in evaluation mode after one step of training, and four windows: nothing stands at zero any more."""
    model, shape, kind = model_of(name, 1.0, network)
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
def test_samples_are_the_generators_and_take_labels(name):
    model, x = trained(name)
    first, again, other = (model.sample(4, generator(seed), LABELS) for seed in (0, 0, 1))
    assert first.shape == x.shape and torch.isfinite(first).all()
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(first, model.sample(4, generator(), 3 - LABELS)) == (model.condition is None)


@pytest.mark.parametrize("mode", ["linear", "slerp"])
@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_interpolation_begins_and_ends_at_the_reconstructions(name, mode):
    model, x = trained(name)
    way = model.interpolate(x[0], x[1], 5, mode, LABELS[:2])
    assert way.shape == (5, *x.shape[1:]) and torch.isfinite(way).all()
    torch.testing.assert_close(way[[0, -1]], model.reconstruct(x[:2], LABELS[:2]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(way[0], way[-1])
    with pytest.raises(ValueError, match="linear or slerp"):
        model.interpolate(x[0], x[1], 5, "cubic")


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_a_perturbation_grows_from_the_reconstruction(name):
    model, x = trained(name)
    here = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.perturb(x, 0.0, generator(), LABELS), here, atol=1e-5, rtol=1e-4)
    near, far = (float((model.perturb(x, s, generator(), LABELS) - here).square().mean()) for s in (0.1, 3.0))
    assert near < far
    assert torch.equal(model.perturb(x, 1.0, generator(), LABELS), model.perturb(x, 1.0, generator(), LABELS))
    assert not torch.allclose(model.perturb(x, 3.0, generator(1), LABELS), model.perturb(x, 3.0, generator(2), LABELS))


@pytest.mark.parametrize("name", [name for name in LEARNED if "skip" in described(name, 1.0)["network"]])
@torch.no_grad()
def test_with_skips_the_ways_from_a_window_take_them_along(name):
    model, x = trained(name, skip=True)
    here = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.perturb(x, 0.0, generator(), LABELS), here)
    torch.testing.assert_close(model.interpolate(x[0], x[1], 3, label=LABELS[:2])[[0, -1]], here[:2])
    z = model.encode(x, None, LABELS).mean
    assert not torch.allclose(model.decode(z, LABELS), here)  # or the skips would do nothing


@pytest.mark.parametrize("name", LEARNED)
@torch.no_grad()
def test_a_transfer_to_the_same_label_is_the_reconstruction(name):
    model, x = trained(name)
    if model.condition is None:
        with pytest.raises(ValueError, match="knows no labels"):
            model.transfer(x, LABELS, LABELS)
        return
    here = model.reconstruct(x, LABELS)
    torch.testing.assert_close(model.transfer(x, LABELS, LABELS), here)
    assert not torch.allclose(model.transfer(x, LABELS, 3 - LABELS), here)


def test_linear_and_slerp_on_a_quarter_circle():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    torch.testing.assert_close(between(a, b, 3, "linear"), torch.tensor([[2.0, 0.0], [1.0, 2.0], [0.0, 4.0]]))
    half = 3 * math.sqrt(0.5)  # at 45 degrees, of the length half-way from 2 to 4
    torch.testing.assert_close(between(a, b, 3, "slerp"), torch.tensor([[2.0, 0.0], [half, half], [0.0, 4.0]]))


def test_slerp_keeps_length_and_speed():
    a, b = torch.randn(2, 64, generator=generator())
    way = between(a, b, 9, "slerp")
    torch.testing.assert_close(way.norm(dim=1), torch.linspace(float(a.norm()), float(b.norm()), 9))
    unit = way / way.norm(dim=1, keepdim=True)
    turned = (unit[1:] * unit[:-1]).sum(1).clamp(-1, 1).arccos()
    torch.testing.assert_close(turned, turned[:1].expand(8), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(way[[0, -1]], torch.stack([a, b]))


@pytest.mark.parametrize("b", [[3.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_slerp_without_one_arc_is_linear(b):
    a = torch.tensor([1.0, 0.0])
    torch.testing.assert_close(between(a, torch.tensor(b), 4, "slerp"), between(a, torch.tensor(b), 4, "linear"))


@pytest.mark.parametrize(("steps", "mode"), [(1, "linear"), (3, "cubic")])
def test_other_ways_are_refused(steps, mode):
    with pytest.raises(ValueError, match="at least 2 steps"):
        between(torch.ones(2), torch.zeros(2), steps, mode)
