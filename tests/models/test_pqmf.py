"""The filter bank in front of a convolutional network."""

import math

import numpy as np
import pytest
import torch

from pipeline.models.networks.pqmf import BLOCKS, Analysis, Synthesis, lowpass
from tests.models.test_networks import CONV, make_model, waves


def decibels(ratio: float) -> float:
    return 10 * math.log10(ratio)


def definition(x: np.ndarray, bands: int) -> np.ndarray:
    """Nguyen 1994: band k is the waveform filtered by a modulated lowpass, then every value number `bands`."""
    h = lowpass(bands)
    result = []
    for k in range(bands):
        phase = math.pi / 4 if k % 2 == 0 else -math.pi / 4
        angles = [(2 * k + 1) * math.pi / (2 * bands) * (n - (len(h) - 1) / 2) + phase for n in range(len(h))]
        impulse_response = math.sqrt(2) * h * np.cos(angles)
        result.append(np.convolve(x, impulse_response[::-1])[bands - 1 :: bands])
    return np.array(result)


@pytest.mark.parametrize("bands", [2, 3, 16])
def test_the_bands_are_those_of_the_definition(bands):
    x = waves(40 * bands, 1)
    analysis = Analysis(bands, 40 * bands)
    u = (analysis(x)[0] * analysis.scale).numpy()
    np.testing.assert_allclose(u, definition(x[0, 0].double().numpy(), bands)[:, : u.shape[1]], atol=1e-5)


def test_the_lowpass_is_symmetric_and_passes_half_a_band():
    h = lowpass(16)
    np.testing.assert_allclose(h, h[::-1], atol=1e-12)
    response = np.abs(np.fft.rfft(h, 1 << 14))
    levels = 20 * np.log10(response / response[0] + 1e-12)
    frequencies = np.linspace(0, 16, len(levels))  # in bands; the cutoff is half a band
    assert np.interp(0.5, frequencies, levels) == pytest.approx(-3.01, abs=0.1)
    assert levels[frequencies > 1.05].max() < -75


@pytest.mark.parametrize("samples", [1, 100, 4000, 4001])
@pytest.mark.parametrize("bands", [2, 3, 8, 16, 64])
def test_analysis_and_synthesis_are_exact_to_60_db_up_to_both_ends(bands, samples):
    analysis, synthesis, x = Analysis(bands, samples), Synthesis(bands, samples), waves(samples)
    u = analysis(x)
    assert u.shape == (3, bands, math.ceil(samples / bands) + BLOCKS - 1)
    y = synthesis(u)
    assert y.shape == x.shape
    for part in (slice(None), slice(50), slice(-50, None)):
        error, power = (y - x)[..., part].square().mean(), x[..., part].square().mean()
        assert decibels(float(error / power) + 1e-15) < -60


def test_noise_that_falls_with_the_frequency_as_music_does_has_a_similar_level_in_all_bands():
    analysis, white = Analysis(16, 100_000), waves(100_000)
    torch.testing.assert_close(
        (analysis(white) * analysis.scale).var((0, 2)), torch.full((16,), 0.09), rtol=0.05, atol=0
    )
    spectrum = torch.fft.rfft(white)
    frequencies = torch.linspace(0, 16, spectrum.shape[-1])  # in bands
    levels = Analysis(16, 100_000)(torch.fft.irfft(spectrum / (frequencies + 0.5))).var((0, 2))
    assert decibels(float(levels.max() / levels.min())) < 6 < decibels(float(analysis.scale[0] / analysis.scale[-1]))


@pytest.mark.parametrize("band", [0, 1, 7, 15])
def test_a_sine_is_in_its_band(band):
    cycles = (band + 0.5) / 32  # per sample: the middle of a band
    x = torch.sin(2 * torch.pi * cycles * torch.arange(8000))[None, None]
    analysis = Analysis(16, 8000)
    power = (analysis(x) * analysis.scale)[0, :, BLOCKS:-BLOCKS].square().mean(1)
    others = torch.cat((power[:band], power[band + 1 :]))
    assert decibels(float(others.max() / power[band])) < -60


@pytest.mark.parametrize("causal", [False, True])
def test_a_network_with_a_filter_bank_does_the_same_in_longer_windows(causal):
    model, x = make_model(CONV | {"strides": [2, 3], "pqmf": 4, "causal": causal}).eval(), waves(2000)
    with torch.no_grad():
        y, whole = model.reconstruct(x[..., :1000]), model.for_shape((2000,)).eval().reconstruct(x)
    # The dilated units of both stages see up to some 700 samples ahead.
    torch.testing.assert_close(y[..., :300], whole[..., :300], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(y[..., -16:], whole[..., 984:1000], atol=1e-3)
