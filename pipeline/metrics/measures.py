"""Distances of a reconstruction from its original, window by window: each takes (B, ...) tensors and gives (B,).

They are finite for silence on either side and for equal signals. Two rules see to that: what lies 80 dB below the
original's loudest value counts as that, and so does what lies below -120 dB of full scale.
"""

from collections.abc import Sequence
from math import log2

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audio.scale import FLOOR_DB
from pipeline.losses.config import STFT_WINDOWS

SILENCE = 1e-6  # amplitude, -120 dB of full scale: about what rounding to 16 bits leaves in a bin
MOST_DB = 60.0  # of the SI-SDR, either way
AT_ONCE = 8  # waveforms: the spectra of more fall out of the processor's cache
FRAME_SECONDS = 0.093  # of the log-spectral distance: 2,048 samples at 22,050 Hz


def to_double(values: Tensor) -> Tensor:
    """In double precision, on the CPU where the device has none."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def mse(y: Tensor, x: Tensor) -> Tensor:
    """Mean squared error."""
    return (y - x).square().flatten(1).mean(1)


def cosine_similarity(y: Tensor, x: Tensor) -> Tensor:
    """Cosine of the angle between the windows as vectors, in [-1, 1]; 0 where one of them is zero."""
    a, b = (to_double(v).flatten(1) for v in (y, x))  # in single precision, 1 would be off by some millionths
    return functional.cosine_similarity(a, b).clamp(-1, 1)


def out_of_range(y: Tensor, low: float) -> Tensor:
    """Share of the values outside [low, 1], in [0, 1]."""
    return ((y < low) | (y > 1)).flatten(1).float().mean(1)


def mel_log_spectral_distance(y: Tensor, x: Tensor) -> Tensor:
    """Log-spectral distance in dB of mels (B, bands, frames), 1 being the peak and 0 lying 80 dB below.

    The root mean square over bands of the difference in dB, averaged over frames (Gray and Markel 1976, for spectra).
    """
    return FLOOR_DB * (y - x).square().mean(1).sqrt().mean(1)


def si_sdr(y: Tensor, x: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB of waveforms (B, samples) (Le Roux et al. 2019, 1811.02508).

    With c the cosine of the angle between them it is 10 log10(c² / (1 - c²)). It is held within 60 dB either way, and
    a silent window, in which nothing of the original is heard, has -60.
    """
    y, x = to_double(y), to_double(x)
    energy = y.square().sum(1) * x.square().sum(1)
    product = (y * x).sum(1)
    # |y - a x|² |x|² for the best a, from the difference itself: 1 - c² would have no digits left near 1.
    scale = product / x.square().sum(1).clamp_min(1e-30)
    noise = (y - scale[:, None] * x).square().sum(1) * x.square().sum(1)
    ratio = 10 * (product.square() / noise.clamp_min(1e-30)).clamp_min(1e-30).log10()
    return torch.where(energy > 0, ratio, -MOST_DB).clamp(-MOST_DB, MOST_DB)


def stft_distance(y: Tensor, x: Tensor) -> Tensor:
    """Multi-resolution STFT distance of waveforms (B, samples), without a dimension.

    Relative L2 distance of the magnitudes plus mean absolute difference of their natural logarithms (Yamamoto et al.
    2020, 1910.11480), window by window, averaged over Hann windows of 2048 to 128 samples with a hop of a quarter:
    those that are no longer than the signal, and at least the shortest.
    """
    sizes = [size for size in STFT_WINDOWS if size <= x.shape[1]] or STFT_WINDOWS[-1:]
    return torch.cat([_over(sizes, a, b) for a, b in zip(y.split(AT_ONCE), x.split(AT_ONCE), strict=True)])


def _over(sizes: Sequence[int], y: Tensor, x: Tensor) -> Tensor:
    found = []
    for size in sizes:
        a, b = magnitudes(y, x, size)
        relative = torch.linalg.vector_norm(a - b, dim=(1, 2)) / torch.linalg.vector_norm(b, dim=(1, 2))
        found.append(relative + (a / b).log_().abs_().mean((1, 2)))
    return torch.stack(found).mean(0)


def log_spectral_distance(y: Tensor, x: Tensor, rate: int) -> Tensor:
    """Log-spectral distance in dB of waveforms (B, samples) at `rate` Hz (Gray and Markel 1976).

    The root mean square over frequencies of the difference of the log-power spectra, averaged over frames: Hann windows
    of the power of two nearest to 93 ms, with a hop of a quarter.
    """
    a, b = magnitudes(y, x, frame_length(rate))
    return (20 * (a.log10() - b.log10())).square().mean(1).sqrt().mean(1)


def frame_length(rate: int) -> int:
    """Samples in the frame of the log-spectral distance."""
    return 2 ** max(4, round(log2(FRAME_SECONDS * rate)))


def magnitudes(y: Tensor, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(B, bins, frames) magnitudes of two waveforms, lifted to 80 dB below the original `x`'s largest, or to -120 dB.

    Frames are centred with zero padding; a sine of amplitude 1 has 0.5 at its peak.
    """
    window = torch.hann_window(size, device=x.device)
    a, b = (_magnitudes(v, size, window) for v in (y, x))
    floor = (b.amax((1, 2), keepdim=True) * 10 ** (-FLOOR_DB / 20)).clamp_min(SILENCE)
    return a.maximum(floor), b.maximum(floor)


def _magnitudes(waveforms: Tensor, size: int, window: Tensor) -> Tensor:
    spectra = torch.stft(waveforms, size, size // 4, window=window, pad_mode="constant", return_complex=True)
    parts = torch.view_as_real(spectra)  # several times as fast as the absolute value of complex numbers
    return (parts[..., 0].square() + parts[..., 1].square()).sqrt_() / window.sum()


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """Squared Frechet distance between Gaussians fitted to the rows of (n, D) and (m, D).

    |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2)) with covariances A and B (Dowson and Landau 1982), as in the FID
    (arXiv 1706.08500), but of the features given. The root is taken of A^(1/2) B A^(1/2), which is symmetric and has
    the same eigenvalues, so that covariances without full rank need no care. Few rows make it larger: their covariances
    differ by chance, the more so the more features there are.

    Returns:
        In the features' unit squared; None with fewer than two rows or values that are no numbers.
    """
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    one, other = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (a, b))
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    return max(0.0, float(apart + np.trace(one) + np.trace(other) - 2 * shared))
