"""Distances of spectra, which forgive a shift that the squared error of the values does not."""

import torch
from torch import Tensor, nn

from pipeline.losses.config import STFT_WINDOWS
from pipeline.models.signal import Signal

QUIET = 0.1  # of the data's standard deviation: a window's spectrum counts as at least this loud
EPSILON = 0.01  # of the data's standard deviation, added to magnitudes before their logarithm


class Fourier(nn.Module):
    """Mean squared difference of the magnitudes of a mel's real FFTs along time and along bands, averaged.

    The magnitudes leave the phase out, and with it the place of what repeats. (The complex difference, phase included,
    is the plain mean squared error once more by Parseval's theorem.) With the orthonormal scaling it is on the scale of
    a squared error.
    """

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, bands, frames) each."""
        axes = []
        for axis in (-1, -2):
            y, x = (torch.fft.rfft(v, dim=axis, norm="ortho").abs() for v in (reconstruction, target))
            axes.append((y - x).square().flatten(1).mean(1))
        return torch.stack(axes).mean(0)


class MultiResolutionSTFT(nn.Module):
    """Relative L2 distance of STFT magnitudes plus L1 distance of their logarithms, averaged over Hann windows.

    After Yamamoto et al. 2020 (arXiv 1910.11480), window by window instead of over the batch. Windows of 2048 to 128
    samples, those that fit, with a hop of a quarter. The sum has no dimension; it is multiplied by the data's variance,
    which brings it to the scale of a squared error: 1 means there what a reconstruction of zeros costs.

    Silence stays finite: a spectrum counts as at least 20 dB below the data's level in the relative distance, and
    magnitudes 40 dB below it are added to each in the logarithmic one.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        self.variance = signal.variance
        self.sizes = [size for size in STFT_WINDOWS if size <= signal.shape[0]]
        for size in self.sizes:
            self.register_buffer(f"hann_{size}", torch.hann_window(size), persistent=False)

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """(B,) of (B, 1, samples) each."""
        level = self.variance**0.5
        found = []
        for size in self.sizes:
            y, x = (self._magnitudes(v, size) for v in (reconstruction, target))
            # The norm's gradient is 0 where the difference is, a root's would not be finite.
            difference = torch.linalg.vector_norm(y - x, dim=1) / y.shape[1] ** 0.5
            relative = difference / (x.square().mean(1) + (QUIET * level) ** 2).sqrt()
            epsilon = EPSILON * level
            logarithmic = ((y + epsilon) / (x + epsilon)).log().abs().mean(1)
            found.append(relative + logarithmic)
        return self.variance * torch.stack(found).mean(0)

    def _magnitudes(self, waveform: Tensor, size: int) -> Tensor:
        """(B, bins * frames), on the scale of the samples."""
        window = self.get_buffer(f"hann_{size}")
        stft = torch.stft(
            waveform.squeeze(1),
            size,
            size // 4,
            window=window,
            pad_mode="constant",
            normalized=True,
            return_complex=True,
        )
        return stft.abs().flatten(1)


def make(signal: Signal) -> nn.Module:
    """The spectral distance for this kind of signal: (reconstruction, target), both (B, 1, *shape), to (B,)."""
    return Fourier() if signal.kind == "mel" else MultiResolutionSTFT(signal)
