"""Waveforms scaled by their own level."""

import math

import pytest
import torch

from pipeline.losses.config import LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks import Code
from pipeline.models.gain import QUIETEST, WindowGain
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE, build

SIGNAL = Signal("waveform", (512,), 0.0, 0.1, {})


def model(scaling: str) -> VAE:
    torch.manual_seed(0)
    return build(
        {
            "kind": "waveform",
            "shape": (512,),
            "stats": {"mean": 0.0, "std": 0.1},
            "representation": {},
            "scaling": scaling,
            "network": {"type": "resnet1d", "channels": [4, 8]},
            "bottleneck": {"type": "gaussian", "latent": 2, "layout": "sequence"},
        }
    ).eval()


def windows(number: int = 3) -> torch.Tensor:
    return 0.2 * torch.randn(number, 1, 512, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scaling", ["peak", "rms"])
def test_level_is_that_of_the_window_and_is_undone(scaling):
    level, x = WindowGain(scaling, SIGNAL), windows()
    found = level(x)
    scaled = x / found
    measure = scaled.abs().amax(-1) if scaling == "peak" else scaled.square().mean(-1).sqrt()
    torch.testing.assert_close(measure, torch.ones(3, 1))
    torch.testing.assert_close(level.undo(scaled, found), x)


@pytest.mark.parametrize("scaling", ["peak", "rms"])
def test_a_window_twice_as_loud_has_the_same_code_and_twice_the_reconstruction(scaling):
    made, x = model(scaling), windows()
    with torch.no_grad():
        torch.testing.assert_close(made.encode(2 * x).mean, made.encode(x).mean)
        torch.testing.assert_close(made.reconstruct(2 * x), 2 * made.reconstruct(x))
        plain = model("none")
        assert not torch.allclose(plain.encode(2 * x).mean, plain.encode(x).mean, atol=1e-3)


@pytest.mark.parametrize("scaling", ["peak", "rms"])
def test_silence_is_finite_and_comes_back_at_most_as_loud_as_the_quietest_level(scaling):
    made, x = model(scaling), torch.zeros(2, 1, 512)
    y, code = made(x)
    assert (code.level == QUIETEST).all() and torch.isfinite(y).all()
    normal, _ = made(windows(2))
    assert y.abs().max() < 0.05 * normal.abs().max()


@pytest.mark.parametrize("scaling", ["none", "peak", "rms"])
def test_samples_are_at_the_typical_level(scaling):
    made = model(scaling)
    z = made.bottleneck.prior(3, torch.Generator().manual_seed(0))
    one = made.decode(z, level=torch.ones(3, 1, 1))
    typical = {"none": 1.0, "rms": 0.1, "peak": 0.4}[scaling]  # a standard deviation of 0.1, of 1 and of 0.25 within
    torch.testing.assert_close(made.sample(3, torch.Generator().manual_seed(0)), typical * one)


@pytest.mark.parametrize("scaling", ["peak", "rms"])
def test_losses_count_a_quiet_window_as_much_as_a_loud_one(scaling):
    level = WindowGain(scaling, SIGNAL)
    config = LossConfig(reconstruction=ReconstructionConfig(type="mse"), spectral=0.1, adversarial=0.1)
    torch.manual_seed(0)
    objective, x = Objective(config, level.signal), windows(4)[:1]
    loudness = torch.tensor([1.0, 0.1, 3.0])[:, None, None]
    x, y = loudness * x, loudness * (0.7 * x + 0.02)
    code = Code(torch.zeros(3, 2), torch.zeros(3, 2), level=level(x))
    for name, term in (objective.distances(y, x, code) | objective.discriminator_step(y, x, code)).items():
        torch.testing.assert_close(term, term[:1].expand(3), msg=name)
    assert objective.signal.variance == pytest.approx({"peak": 0.25**2, "rms": 1.0}[scaling])


def test_the_way_between_two_windows_is_also_one_of_loudness():
    made, x = model("rms"), windows(2) * torch.tensor([1.0, 0.01])[:, None, None]
    with torch.no_grad():
        way = made.interpolate(x[0], x[1], 3)
        torch.testing.assert_close(way[[0, -1]], made.reconstruct(x))
        alone = made.decode(made.encode(x).mean.mean(0, keepdim=True), level=made.level(x).mean(0, keepdim=True))
    torch.testing.assert_close(way[1:2], alone)
    assert math.isfinite(float(way.sum()))
