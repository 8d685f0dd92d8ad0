"""Spectral distances: what they ignore and what they measure."""

import math

import pytest
import torch

from pipeline.losses.spectral import Fourier, MultiResolutionSTFT
from pipeline.models.signal import Signal

MEL_SHAPE = (32, 20)


def waveform(samples: int = 3000, std: float = 0.1) -> Signal:
    return Signal("waveform", (samples,), 0.0, std, {})


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


def test_stft_ignores_the_phase_and_measures_a_missing_partial():
    time = torch.arange(3000) / 3000
    low, high = (0.2 * torch.sin(2 * math.pi * f * time)[None, None] for f in (200, 700))
    shifted = 0.2 * torch.cos(2 * math.pi * 200 * time)[None, None]
    x, distance = low + high, MultiResolutionSTFT(waveform())
    assert (shifted + high - x).square().mean() > 0.9 * (low - x).square().mean()
    assert float(distance(shifted + high, x)) < 0.25 * float(distance(low, x))


def test_stft_uses_the_windows_that_fit_and_has_the_scale_of_a_squared_error():
    assert MultiResolutionSTFT(waveform()).sizes == [2048, 512, 128]
    assert MultiResolutionSTFT(waveform(600)).sizes == [512, 128]
    x = 0.1 * torch.randn(3, 1, 3000, generator=torch.Generator().manual_seed(0))
    quiet, loud = (MultiResolutionSTFT(waveform(std=std)) for std in (0.1, 0.2))
    torch.testing.assert_close(loud(0.6 * x, 2 * x), 4 * quiet(0.3 * x, x))
    assert 1 < float(quiet(0 * x, x).mean()) / 0.01 < 6
