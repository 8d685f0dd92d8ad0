"""Reconstruction distances and likelihoods against their formulas; weights of mel bands."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from pipeline.losses.config import LossConfig, ReconstructionConfig
from pipeline.losses.objective import Objective
from pipeline.losses.reconstruction import band_centres, band_weights
from pipeline.losses.spectral import spectral_distance
from pipeline.models.signal import Signal

MEL = Signal("mel", (32, 20), [0.5] * 32, [0.2] * 32, {"kind": "mel", "sample_rate": 22050, "bands": 32})


def pair(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random reconstructions and originals of 42 values, on the whole range of the data."""
    low = 0.0 if kind == "mel" else -1.0
    x, y = torch.rand(2, 3, 1, 6, 7, generator=torch.Generator().manual_seed(0))
    return low + (1 - low) * x, low + (1 - low) * y


def make_objective(kind: str = "mel", signal: Signal | None = None, **reconstruction) -> Objective:
    config = LossConfig(reconstruction=ReconstructionConfig(**reconstruction))
    return Objective(config, signal or Signal(kind, (42,), 0.0, 0.5, {}))


def test_a_fixed_sigma_gives_the_likelihood_of_the_whole_window():
    y, x = pair("mel")
    objective = make_objective(type="gaussian", sigma=0.3)
    expected = -Normal(y, 0.3).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(objective.nll(objective.distance(y, x)), expected)


def test_the_optimal_sigma_is_the_error_of_the_batch():
    y, x = pair("mel")
    objective = make_objective(type="gaussian", sigma="optimal")
    nll, mse = objective.nll(objective.distance(y, x)).mean(), (y - x).square().mean()
    assert float(nll) == pytest.approx(21 * (1 + math.log(2 * math.pi * float(mse))), rel=1e-5)
    for factor in (0.9, 1.1):
        fixed = make_objective(type="gaussian", sigma=factor * float(mse.sqrt()))
        assert fixed.nll(fixed.distance(y, x)).mean() > nll


def test_the_optimal_sigma_has_the_gradient_of_half_the_log_error():
    y, x = pair("waveform")
    y.requires_grad_()
    objective = make_objective("waveform", type="gaussian", sigma="optimal")
    (gradient,) = torch.autograd.grad(objective.nll(objective.distance(y, x)).mean(), y)
    (expected,) = torch.autograd.grad(21 * (y - x).square().mean().log(), y)
    torch.testing.assert_close(gradient, expected)


def test_a_fixed_sigma_must_be_positive():
    with pytest.raises(ValueError, match="greater than or equal to"):
        ReconstructionConfig(sigma=0.0)


def test_bce_of_a_waveform_is_that_of_torch_minus_the_entropy():
    y, x = pair("waveform")
    p, t = (y + 1) / 2, (x + 1) / 2
    bce = torch.nn.functional.binary_cross_entropy
    expected = (bce(p, t, reduction="none") - bce(t, t, reduction="none")).flatten(1).mean(1)
    distance = make_objective("waveform", type="bce").distance(y, x)
    torch.testing.assert_close(distance, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["mrstft", "multi_mel"])
def test_a_distance_of_spectra_counts_as_nats_per_value(name):
    signal = Signal("waveform", (3000,), 0.0, 0.1, {"sample_rate": 3000})
    y, x = 0.1 * torch.randn(2, 3, 1, 3000, generator=torch.Generator().manual_seed(0))
    objective = make_objective(signal=signal, type=name)
    distance = objective.distance(y, x)
    assert distance.shape == (3,) and distance.min() > 0
    assert torch.equal(distance, spectral_distance(name, signal)(y, x))
    torch.testing.assert_close(objective.nll(distance), 3000 * distance)
    assert float(objective.likelihood_variance(distance)) == 0.5


def test_log_magnitude_measures_ratios_not_differences():
    distance = make_objective(signal=MEL, type="log_magnitude").distance
    quiet, loud = torch.full((1, 1, 32, 20), 0.1), torch.full((1, 1, 32, 20), 0.8)
    assert float(distance(quiet + 0.05, quiet)) == pytest.approx(math.log(0.16 / 0.11), rel=1e-4)
    assert distance(quiet + 0.05, quiet) > 4 * distance(loud + 0.05, loud)
    assert torch.isfinite(distance(0 * quiet, loud)).all()


def test_the_musical_weighting_prefers_the_middle_then_the_bass():
    weights, centres = band_weights("musical", MEL)[:, 0].numpy(), band_centres(MEL)
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    low, middle, high = weights[centres < 250], weights[(centres > 250) & (centres < 4000)], weights[centres > 4000]
    assert len(low) and len(middle) and len(high)
    np.testing.assert_allclose([np.ptp(part) for part in (low, middle, high)], 0, atol=1e-6)
    np.testing.assert_allclose([middle[0] / low[0], high[0] / low[0]], [2 / 1.5, 0.8 / 1.5], rtol=1e-5)


def test_a_weighting_is_the_sensitivity_of_the_ear():
    weights, centres = band_weights("a_weighting", MEL)[:, 0].numpy(), band_centres(MEL)
    assert weights.mean() == pytest.approx(1, abs=1e-6) and weights.min() > 0
    assert 2000 < centres[weights.argmax()] < 3500  # the maximum of A-weighting
    bass, middle = weights[np.abs(centres - 100).argmin()], weights[np.abs(centres - 1000).argmin()]
    assert 0.02 < bass / middle < 0.25  # -19.1 dB at 100 Hz


@pytest.mark.parametrize("name", ["gaussian", "l1"])
def test_the_weight_of_an_error_depends_on_its_band(name):
    weighted = make_objective(signal=MEL, type=name, weighting="musical").distance
    unweighted = make_objective(signal=MEL, type=name).distance
    x = torch.rand(3, 1, *MEL.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(weighted(x + 0.1, x), unweighted(x + 0.1, x))  # the same error in all bands
    middle, high = x.clone(), x.clone()
    middle[:, :, 12] += 0.1
    high[:, :, -1] += 0.1
    assert (weighted(middle, x) > unweighted(middle, x)).all() and (weighted(high, x) < unweighted(high, x)).all()
