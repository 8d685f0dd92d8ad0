"""Waveforms scaled by their own gain."""

import math

import pytest
import torch

from pipeline.losses.config import LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal
from pipeline.models.vae import MIN_GAIN, VAE, WindowGain

SIGNAL = Signal("waveform", (512,), 0.0, 0.1, {"sample_rate": 3000})
both_scalings = pytest.mark.parametrize("scaling", ["peak", "rms"])


def make_model(scaling: str) -> VAE:
    torch.manual_seed(0)
    return VAE(
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


@both_scalings
def test_the_gain_of_a_window_is_its_peak_or_rms_and_is_undone(scaling):
    window_gain, x = WindowGain(scaling, SIGNAL), windows()
    gain = window_gain(x)
    scaled = x / gain
    measure = scaled.abs().amax(-1) if scaling == "peak" else scaled.square().mean(-1).sqrt()
    torch.testing.assert_close(measure, torch.ones(3, 1))
    torch.testing.assert_close(window_gain.undo(scaled, gain), x)


@both_scalings
def test_a_window_twice_as_loud_has_the_same_code_and_twice_the_reconstruction(scaling):
    model, x = make_model(scaling), windows()
    with torch.no_grad():
        torch.testing.assert_close(model.encode(2 * x).mean, model.encode(x).mean)
        torch.testing.assert_close(model.reconstruct(2 * x), 2 * model.reconstruct(x))
        unscaled = make_model("none")
        assert not torch.allclose(unscaled.encode(2 * x).mean, unscaled.encode(x).mean, atol=1e-3)


@both_scalings
def test_the_reconstruction_of_silence_is_finite_and_quiet(scaling):
    model, x = make_model(scaling), torch.zeros(2, 1, 512)
    y, code = model(x)
    assert (code.gain == MIN_GAIN).all() and torch.isfinite(y).all()
    assert y.abs().max() < 0.05 * model(windows(2))[0].abs().max()


@pytest.mark.parametrize("scaling", ["none", "peak", "rms"])
def test_samples_have_the_typical_gain(scaling):
    model = make_model(scaling)
    z = model.bottleneck.sample_prior(3, torch.Generator().manual_seed(0))
    y = model.decode(z, gain=torch.ones(3, 1, 1))
    typical = {"none": 1.0, "rms": 0.1, "peak": 0.4}[scaling]  # 0.1, the std of the data, over that of scaled windows
    torch.testing.assert_close(model.sample(3, torch.Generator().manual_seed(0)), typical * y)


@pytest.mark.parametrize("types", [["patch"], ["multi_scale_stft", "multi_period"]])
@both_scalings
def test_losses_count_a_quiet_window_as_much_as_a_loud_one(scaling, types):
    window_gain = WindowGain(scaling, SIGNAL)
    config = LossConfig(
        reconstruction=ReconstructionConfig(type="mse"),
        spectral={"weight": 0.1},
        adversarial={"weight": 0.1, "types": types, "feature_matching": 1.0},
    )
    torch.manual_seed(0)
    objective, x = Objective(config, window_gain.signal), windows(4)[:1]
    loudness = torch.tensor([1.0, 0.1, 3.0])[:, None, None]
    x, y = loudness * x, loudness * (0.7 * x + 0.02)
    code = Code(torch.zeros(3, 2), torch.zeros(3, 2), gain=window_gain(x))
    for name, term in (objective.distances(y, x, code) | objective.discriminator_step(y, x, code, 0.0)).items():
        torch.testing.assert_close(term, term[:1].expand(3), msg=name)
    assert objective.signal.variance == pytest.approx({"peak": 0.25**2, "rms": 1.0}[scaling])


def test_an_interpolation_interpolates_the_gain():
    model, x = make_model("rms"), windows(2) * torch.tensor([1.0, 0.01])[:, None, None]
    with torch.no_grad():
        path = model.interpolate(x[0], x[1], 3)
        torch.testing.assert_close(path[[0, -1]], model.reconstruct(x))
        z, gain = model.encode(x).mean.mean(0, keepdim=True), model.gain(x).mean(0, keepdim=True)
        torch.testing.assert_close(path[1:2], model.decode(z, gain=gain))
    assert math.isfinite(float(path.sum()))
