"""Distances of spectra. They tolerate shifts in time that a squared error of the values does not."""

import torch
from torch import Tensor, nn

from pipeline.losses.config import STFT_WINDOWS
from pipeline.models.signal import Signal

# Relative to the standard deviation of the data, so that silence has a finite distance.
MIN_MAGNITUDE = 0.1  # root mean square of a window's spectrum counts as this if it is less: -20 dB
EPSILON = 0.01  # added to magnitudes before their logarithm: -40 dB


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


class MultiResolutionSTFT(nn.Module):
    """Relative L2 distance of STFT magnitudes plus L1 distance of their logarithms, averaged over Hann windows.

    After Yamamoto et al. 2020 (arXiv 1910.11480), but per window instead of over the batch. Hann windows have 2048, 512
    and 128 samples, if they fit, and a hop of a half. The sum has no unit. Times the variance of the data, it is on the
    scale of a squared error.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.variance = signal.variance
        self.sizes = [size for size in STFT_WINDOWS if size <= signal.shape[0]]
        for size in self.sizes:
            self.register_buffer(f"hann_{size}", torch.hann_window(size), persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, samples) each."""
        std = self.variance**0.5
        distances = []
        for size in self.sizes:
            y, x = (self._magnitudes(v, size) for v in (reconstruction, target))
            # At a difference of 0, the norm's gradient is 0; a square root has an infinite gradient there.
            difference = torch.linalg.vector_norm(y - x, dim=1) / y.shape[1] ** 0.5
            relative = difference / (x.square().mean(1) + (MIN_MAGNITUDE * std) ** 2).sqrt()
            epsilon = EPSILON * std
            logarithmic = ((y + epsilon) / (x + epsilon)).log().abs().mean(1)
            distances.append(relative + logarithmic)
        return self.variance * torch.stack(distances).mean(0)

    def _magnitudes(self, waveform: Tensor, size: int) -> Tensor:
        """(B, bins * frames), on the scale of the samples."""
        window = self.get_buffer(f"hann_{size}")
        x, hop = waveform.squeeze(1), size // 2
        stft = torch.stft(x, size, hop, window=window, pad_mode="constant", normalized=True, return_complex=True)
        return stft.abs().flatten(1)


def spectral_distance(signal: Signal) -> nn.Module:
    """The spectral distance for a kind of signal: a module from two (B, 1, *shape) to (B,)."""
    return Fourier() if signal.kind == "mel" else MultiResolutionSTFT(signal)
