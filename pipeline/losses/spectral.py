"""Distances of spectra. They tolerate shifts in time that a squared error of the values does not.

Those of waveforms are multiplied by the variance of the data, so that they are on the scale of a squared error and a
weight means the same for all data. To add one, write a class, and name it in `DISTANCES` and in `SpectralConfig`.
"""

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.audio.mel_scale import hertz_to_mel, mel_filters
from pipeline.losses.config import SPECTRAL_KINDS
from pipeline.models.signal import Signal

FRAME_SECONDS = 0.093  # rounded to a power of two: 256 samples at 3,000 Hz, 2,048 at 22,050 Hz
BANDS_PER_MEL = 1.5  # 31 bands up to 1,500 Hz, 74 up to 11,025 Hz
# Relative to the standard deviation of the data; added to both sides, so that silence has a finite level: -40 dB.
EPSILON = 0.01
STFT_SIZES = (2048, 1024, 512, 256, 128)  # samples of a window of the multi-resolution STFT distance
STFT_FLOOR = 1e-4  # smallest magnitude, relative to that of white noise with the variance of the data: -80 dB
QUIET = 0.1  # smallest level of a window by which its spectral convergence is divided, relative to the data: -20 dB
MEL_BANDS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}  # by the samples of a window
MEL_FLOOR = 1e-5  # of mel magnitudes


class Fourier(nn.Module):
    """Mean squared difference of the magnitudes of a mel's real FFTs, averaged over FFTs along time and along bands.

    Magnitudes do not contain the phase, so shifts along the axis cost little. (The complex difference would be the mean
    squared error again, by Parseval's theorem.) With orthonormal scaling it is on the scale of a squared error.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()

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
    apart below 1 kHz; docs/variants.md has other widths.
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
        """(B, 1, frames, bands), on the scale of squared samples."""
        half = self.size // 2
        power = _power(functional.pad(waveform, (half, half)), self.get_buffer("window"), half)
        return power @ self.get_buffer("filters")


class MultiResolutionSTFT(nn.Module):
    """Multi-resolution STFT distance (Yamamoto et al. 2020, arXiv 1910.11480), times the variance of the data.

    For each size of a window: the spectral convergence, which is the L2 distance of the magnitudes relative to the
    target's, plus the mean absolute difference of their natural logarithms; the mean over sizes. Hann windows of 2048
    to 128 samples with a hop of a quarter; those longer than the waveform are left out, but not the shortest.

    Both are computed for each waveform alone. Silence is finite: magnitudes are at least `STFT_FLOOR`, and the target's
    norm counts as at least that of white noise at the level `QUIET`, both relative to the level of the data.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.variance = signal.variance
        for size in STFT_SIZES:
            hann = torch.hann_window(size)
            self.register_buffer(f"window_{size}", hann / hann.norm(), persistent=False)  # as in BandLevels

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, samples) each."""
        distances = []
        for size in [size for size in STFT_SIZES if size <= target.shape[-1]] or STFT_SIZES[-1:]:
            y, x = (self._magnitudes(v, size) for v in (reconstruction, target))
            norm = x.square().mean(1).clamp_min(QUIET**2 * self.variance).sqrt()
            # The epsilon is far below any difference that counts; the gradient of a root at 0 is infinite.
            convergence = ((y - x).square().mean(1) + 1e-12 * self.variance).sqrt() / norm
            distances.append(convergence + (y / x).log().abs().mean(1))
        return self.variance * torch.stack(distances).mean(0)

    def _magnitudes(self, waveform: Tensor, size: int) -> Tensor:
        """(B, frames * bins), on the scale of samples."""
        power = _power(_reflect(waveform, size // 2), self.get_buffer(f"window_{size}"), size // 4)
        return power.flatten(1).clamp_min(STFT_FLOOR**2 * self.variance).sqrt()


class MultiMel(nn.Module):
    """Mel distance of the Descript Audio Codec (Kumar et al. 2023, arXiv 2306.06546), times the variance of the data.

    The mean absolute difference of log10 of mel magnitudes of at least 1e-5, summed over seven Hann windows of 32 to
    2,048 samples with 5 to 320 bands and a hop of a quarter. Windows longer than the waveform are left out, but not the
    shortest. A difference of 20 dB in all bands is 7. Bands so narrow that they hold no bin are always equal.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.variance = signal.variance
        for size, bands in MEL_BANDS.items():
            filters = torch.from_numpy(mel_filters(signal.representation["sample_rate"], size, bands)).T.contiguous()
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)
            self.register_buffer(f"filters_{size}", filters, persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, samples) each."""
        sizes = [size for size in MEL_BANDS if size <= target.shape[-1]]
        distances = [
            (self._log_mel(reconstruction, size) - self._log_mel(target, size)).abs().flatten(1).mean(1)
            for size in sizes or [min(MEL_BANDS)]
        ]
        return self.variance * torch.stack(distances).sum(0)

    def _log_mel(self, waveform: Tensor, size: int) -> Tensor:
        """(B, 1, frames, bands) log10 of magnitudes; they are not scaled by the window, as in the source."""
        power = _power(_reflect(waveform, size // 2), self.get_buffer(f"window_{size}"), size // 4)
        magnitudes = power.clamp_min(1e-20).sqrt()  # for a finite gradient; far below the floor
        return (magnitudes @ self.get_buffer(f"filters_{size}")).clamp_min(MEL_FLOOR).log10()


def _power(padded: Tensor, window: Tensor, hop: int) -> Tensor:
    """(..., frames, bins) squared magnitudes of waveforms (..., samples)."""
    spectrum = torch.view_as_real(torch.fft.rfft(padded.unfold(-1, len(window), hop) * window))
    return spectrum[..., 0].square() + spectrum[..., 1].square()  # faster than a sum over the axis


def _reflect(x: Tensor, number: int) -> Tensor:
    """Waveforms (..., samples) with so many mirrored samples at each end, so that frames are centred.

    torch's own padding is not deterministic on a GPU.
    """
    return torch.cat((x[..., 1 : number + 1].flip(-1), x, x[..., -number - 1 : -1].flip(-1)), -1)


DISTANCES: dict[str, type[nn.Module]] = {
    "fourier": Fourier,
    "band_levels": BandLevels,
    "mrstft": MultiResolutionSTFT,
    "multi_mel": MultiMel,
}


def spectral_distance(name: str | None, signal: Signal) -> nn.Module:
    """The distance with this name, by default the first for the kind of signal: two (B, 1, *shape) to (B,)."""
    return DISTANCES[name or next(type for type, kind in SPECTRAL_KINDS.items() if kind == signal.kind)](signal)
