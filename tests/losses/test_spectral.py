"""Spectral distances: what they ignore and what they measure."""

import math

import auraloss
import librosa
import numpy as np
import pytest
import torch

from pipeline.losses.spectral import STFT_FLOOR, BandLevels, Fourier, MultiMel, MultiResolutionSTFT, spectral_distance
from pipeline.models.signal import Signal
from tests.artefacts import music

MEL_SHAPE = (32, 20)
MEL = Signal("mel", MEL_SHAPE, [0.5] * 32, [0.2] * 32, {})
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
    squared, distance = (y - x).square().mean(), spectral_distance(None, MEL)
    difference = torch.fft.fft(y, dim=axis, norm="ortho") - torch.fft.fft(x, dim=axis, norm="ortho")
    torch.testing.assert_close(difference.abs().square().mean(), squared)  # Parseval's theorem
    assert squared > 1 and float(distance(y, x)) < 0.15 * float(squared)  # the rest is from the other axis
    assert float(distance(0.5 * x, x)) > 0.1 * float(x.square().mean())


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


def test_without_a_type_the_kind_of_the_signal_decides():
    assert isinstance(spectral_distance(None, MEL), Fourier)
    assert isinstance(spectral_distance(None, waveform()), BandLevels)
    assert isinstance(spectral_distance("multi_mel", waveform()), MultiMel)


MUSIC_RATE = 22050


def tunes(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two waveforms (2, 1, samples) of different loudness, and other ones."""
    y, x = (torch.tensor(np.stack([music(n, MUSIC_RATE) for n in numbers])) for numbers in ((1, 2), (3, 4)))
    x[1] *= 0.2
    return y[:, None, :samples], x[:, None, :samples]


@pytest.mark.parametrize("samples", [22050, 700])
def test_the_stft_distance_equals_that_of_auraloss(samples):
    """It is called with each waveform alone: it takes the spectral convergence over a whole batch."""
    signal, (y, x) = waveform(samples, rate=MUSIC_RATE), tunes(samples)
    sizes = [size for size in (2048, 1024, 512, 256, 128) if size <= samples]
    floors = {size: STFT_FLOOR**2 * signal.variance * float(torch.hann_window(size).square().sum()) for size in sizes}
    losses = [auraloss.freq.STFTLoss(size, size // 4, size, eps=floors[size]) for size in sizes]
    expected = [torch.stack([loss(b[None], a[None]) for loss in losses]).mean() for a, b in zip(x, y, strict=True)]
    assert len({round(float(value), 2) for value in expected}) == 2
    distance = MultiResolutionSTFT(signal)(y, x)
    torch.testing.assert_close(distance, signal.variance * torch.stack(expected), rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("ignore:Empty filters")  # by definition
@pytest.mark.parametrize("samples", [22050, 700])
def test_the_mel_distance_equals_its_definition_computed_with_librosa(samples):
    signal, (y, x) = waveform(samples, rate=MUSIC_RATE), tunes(samples)
    scales = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}

    def log_mel(audio: torch.Tensor, size: int, bands: int) -> np.ndarray:
        spectrum = np.abs(librosa.stft(audio[0].numpy(), n_fft=size, hop_length=size // 4, pad_mode="reflect"))
        filters = librosa.filters.mel(sr=MUSIC_RATE, n_fft=size, n_mels=bands)
        return np.log10(np.maximum(filters @ spectrum, 1e-5))

    expected = [
        sum(np.abs(log_mel(a, *scale) - log_mel(b, *scale)).mean() for scale in scales.items() if scale[0] <= samples)
        for a, b in zip(x, y, strict=True)
    ]
    distance = MultiMel(signal)(y, x)
    torch.testing.assert_close(
        distance, signal.variance * torch.tensor(expected, dtype=torch.float32), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("name", ["band_levels", "mrstft", "multi_mel"])
@pytest.mark.parametrize("samples", [100, 3000])
def test_a_distance_is_of_each_waveform_alone_and_finite_for_silence(name, samples):
    """Also of a waveform that is shorter than all windows but the shortest."""
    distance = spectral_distance(name, waveform(samples))
    noise = 0.1 * torch.randn(2, 2, 1, samples, generator=torch.Generator().manual_seed(0))
    silence = torch.zeros(1, 1, samples)
    y = torch.cat((noise[0], silence, noise[0, :1], silence)).requires_grad_()
    x = torch.cat((noise[1], noise[1, :1], silence, silence))
    result = distance(y, x)
    single = torch.cat([distance(a[None], b[None]) for a, b in zip(y, x, strict=True)])
    torch.testing.assert_close(result, single, rtol=1e-5, atol=1e-8)
    result.sum().backward()
    assert torch.isfinite(y.grad).all() and y.grad[:2].abs().amax((1, 2)).min() > 0
    assert result[4] < 1e-6 < result[:4].min() and result.max() < 0.5  # 50 times the variance of the data
    assert float(distance(x, x).max()) < 1e-6
