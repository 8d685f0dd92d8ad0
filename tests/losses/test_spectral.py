"""Spectral distances: what they ignore and what they measure."""

import math

import pytest
import torch

from pipeline.losses.spectral import BandLevels, Fourier
from pipeline.models.signal import Signal

MEL_SHAPE = (32, 20)
RATE = 3000  # Hz


def waveform(samples: int = 3000, std: float = 0.1, rate: int = RATE) -> Signal:
    return Signal("waveform", (samples,), 0.0, std, {"sample_rate": rate})


@pytest.mark.parametrize("axis", [-1, -2])
def test_fourier_ignores_a_shift_that_the_complex_difference_and_the_squared_error_measure(axis):
    """Sums of sines that fit the axis: shifted, they have the same magnitudes and other phases."""
    size = MEL_SHAPE[axis]
    position = torch.arange(size) / size
    sines = torch.stack([torch.sin(2 * math.pi * k * position + k) for k in (1, 2, 5)]).sum(0)
    x = (sines[None] if axis == -1 else sines[:, None]).expand(MEL_SHAPE)[None, None]
    y = x.roll(size // 3, axis)
    squared = (y - x).square().mean()
    difference = torch.fft.fft(y, dim=axis, norm="ortho") - torch.fft.fft(x, dim=axis, norm="ortho")
    torch.testing.assert_close(difference.abs().square().mean(), squared)  # Parseval's theorem
    assert squared > 1 and float(Fourier()(y, x)) < 0.15 * float(squared)  # the rest is from the other axis
    assert float(Fourier()(0.5 * x, x)) > 0.1 * float(x.square().mean())


def sine(hertz: float, amplitude: float, phase: float = 0.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * hertz * torch.arange(3000) / RATE + phase)[None, None]


def test_levels_ignore_the_phase_and_measure_a_missing_partial():
    low, high, distance = sine(200, 0.2), sine(700, 0.2), BandLevels(waveform())
    shifted = sine(200, 0.2, math.pi / 2)
    assert (shifted - low).square().mean() > (0 * high - high).square().mean()
    assert float(distance(shifted + high, low + high)) < 0.1 * float(distance(low, low + high))


def test_a_quiet_band_counts_as_much_as_a_loud_one():
    """Half the amplitude is the same distance 20 dB lower, where a squared error counts a hundredth."""
    loud, quiet, distance = sine(300, 0.2), sine(1000, 0.02), BandLevels(waveform())
    less_loud, less_quiet = (float(distance(y, loud + quiet)) for y in (0.5 * loud + quiet, loud + 0.5 * quiet))
    assert 0.3 < less_quiet / less_loud < 1


@pytest.mark.parametrize("samples", [100, 3000])
def test_levels_are_in_nepers_times_the_variance_of_the_data(samples):
    """Also of a window that is shorter than a frame."""
    x = 0.1 * torch.randn(3, 1, samples, generator=torch.Generator().manual_seed(0))
    expected = torch.full((3,), 0.01 * math.log(2) ** 2)
    torch.testing.assert_close(BandLevels(waveform(samples))(0.5 * x, x), expected, rtol=0.02, atol=0)
    quiet, loud = (BandLevels(waveform(samples, std)) for std in (0.1, 0.2))
    torch.testing.assert_close(loud(0.6 * x, 2 * x), 4 * quiet(0.3 * x, x))


@pytest.mark.parametrize("rate", [1000, 3000, 22050, 48000])
def test_no_band_is_empty_at_any_rate(rate):
    distance = BandLevels(waveform(rate=rate))
    assert 0.066 < distance.size / rate < 0.132
    torch.testing.assert_close(distance.filters.sum(0), torch.ones(distance.filters.shape[1]))
