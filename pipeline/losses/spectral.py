"""Distances of spectra. They tolerate shifts in time that a squared error of the values does not."""

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.audio.mel_scale import hertz_to_mel, mel_filters
from pipeline.models.signal import Signal

FRAME_SECONDS = 0.093  # rounded to a power of two: 256 samples at 3,000 Hz, 2,048 at 22,050 Hz
BANDS_PER_MEL = 1.5  # 31 bands up to 1,500 Hz, 74 up to 11,025 Hz
# Relative to the standard deviation of the data; added to both sides, so that silence has a finite level: -40 dB.
EPSILON = 0.01


class Fourier(nn.Module):
    """Mean squared difference of the magnitudes of a mel's real FFTs, averaged over FFTs along time and along bands.

    Magnitudes do not contain the phase, so shifts along the axis cost little. (The complex difference would be the mean
    squared error again, by Parseval's theorem.) With orthonormal scaling it is on the scale of a squared error.
    """

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, bands, frames) each."""
        distances = []
        for axis in (-1, -2):
            y, x = (torch.fft.rfft(v, dim=axis, norm="ortho").abs() for v in (reconstruction, target))
            distances.append((y - x).square().flatten(1).mean(1))
        return torch.stack(distances).mean(0)


class BandLevels(nn.Module):
    """Mean squared difference of the levels of mel bands, in nepers (1 neper is 8.7 dB), over bands and frames.

    A squared error of samples follows the loud bass. Here each band and each moment counts the same, and the phase does
    not count: a single-scale form of the mel loss of neural codecs (Kumar et al. 2023, arXiv 2306.06546), squared.
    Multiplied by the variance of the data, it is on the scale of a squared error.

    Frames are about 93 ms long, as those of the common log-mel, with a Hann window and a hop of a half. Bands are 44 Hz
    apart below 1 kHz; docs/variants.md compares other widths.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.variance = signal.variance
        rate = signal.representation["sample_rate"]
        self.size = 2 ** round(log2(FRAME_SECONDS * rate))
        hann = torch.hann_window(self.size)
        self.register_buffer("window", hann / hann.norm(), persistent=False)  # white noise keeps its variance
        filters = torch.from_numpy(mel_filters(rate, self.size, int(BANDS_PER_MEL * hertz_to_mel(rate / 2))))
        self.register_buffer("filters", (filters / filters.sum(1, keepdim=True)).T, persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, samples) each."""
        floor = EPSILON**2 * self.variance
        y, x = (self._band_power(v) + floor for v in (reconstruction, target))
        levels = 0.5 * (y / x).log()
        return self.variance * levels.square().flatten(1).mean(1)

    def _band_power(self, waveform: Tensor) -> Tensor:
        """(B, frames, bands), on the scale of squared samples."""
        half = self.size // 2
        frames = functional.pad(waveform.squeeze(1), (half, half)).unfold(1, self.size, half)
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.get_buffer("window")))
        return spectrum.square().sum(-1) @ self.get_buffer("filters")


def spectral_distance(signal: Signal) -> nn.Module:
    """The spectral distance for a kind of signal: a module from two (B, 1, *shape) to (B,)."""
    return Fourier() if signal.kind == "mel" else BandLevels(signal)
