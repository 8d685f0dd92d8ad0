"""Metrics of reconstructions y against originals x, per window: (B, ...) tensors to (B,).

They are finite for silent and for equal signals: a spectral value counts as at least -80 dB relative to the original's
largest value, and as at least -120 dB of full scale.

To add a metric, write a function of y and x, and add it to a table at the end of this file:

    OWN_SCALE = {..., "mae": lambda y, x: (y - x).abs().flatten(1).mean(1)}

Stages reference and evaluate compute it, and metrics.json has it with its interval. For a column in the report, add it
to `COLUMNS` in `pipeline/report/columns.py`.
"""

from collections.abc import Callable
from functools import lru_cache
from math import ceil, log2

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audio.scale import FLOOR_DB
from pipeline.losses.spectral import FRAME_SECONDS, MultiMel
from pipeline.models.signal import Signal

MIN_AMPLITUDE = 1e-6  # -120 dB of full scale: about the rounding error of 16 bits in a bin
MAX_SI_SDR = 60.0  # dB; the minimum is its negative
STFT_BATCH = 8  # waveforms; the spectra of more do not fit the CPU cache
STFT_WINDOWS = (2048, 512)  # samples
STFT_FLOOR = 1e-5  # of magnitudes that are not scaled by the window
SILENCE_LUFS = -70.0
MIN_LOUDNESS_RATE = 3000  # Hz; below it, the filters of the loudness are unstable
MAX_ROWS = 4000  # of the kernel distance, whose memory grows by the square


def to_double(values: Tensor) -> Tensor:
    """Convert to double precision, on the CPU if the device has none."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def mse(y: Tensor, x: Tensor) -> Tensor:
    """Mean squared error."""
    return (y - x).square().flatten(1).mean(1)


def cosine_similarity(y: Tensor, x: Tensor) -> Tensor:
    """Cosine of the angle between the windows as vectors, in [-1, 1]; 0 if one of them is zero."""
    a, b = (to_double(v).flatten(1) for v in (y, x))  # single precision would be off by 1e-6
    return functional.cosine_similarity(a, b).clamp(-1, 1)


def out_of_range(y: Tensor, x: Tensor) -> Tensor:
    """Share of the values of y outside [-1, 1] for waveforms (B, samples), or [0, 1] for mels (B, bands, frames)."""
    return ((y < (-1.0 if x.dim() == 2 else 0.0)) | (y > 1)).flatten(1).float().mean(1)


def mel_log_spectral_distance(y: Tensor, x: Tensor) -> Tensor:
    """Log-spectral distance in dB of mels (B, bands, frames) on the scale where 1 is the peak and 0 is 80 dB below.

    Root mean square over bands of the difference in dB, averaged over frames (Gray and Markel 1976, for spectra).
    """
    return FLOOR_DB * (y - x).square().mean(1).sqrt().mean(1)


def si_sdr(y: Tensor, x: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB of waveforms (B, samples) (Le Roux et al. 2019, 1811.02508).

    10 log10(c² / (1 - c²)), c being the cosine of the angle between them, limited to [-60, 60]; -60 for silence.
    """
    y, x = to_double(y), to_double(x)
    energy = y.square().sum(1) * x.square().sum(1)
    product = (y * x).sum(1)
    # |y - a x|² |x|² for the best a, from the difference itself: 1 - c² would lose all digits near 1.
    scale = product / x.square().sum(1).clamp_min(1e-30)
    noise = (y - scale[:, None] * x).square().sum(1) * x.square().sum(1)
    ratio = 10 * (product.square() / noise.clamp_min(1e-30)).clamp_min(1e-30).log10()
    return torch.where(energy > 0, ratio, -MAX_SI_SDR).clamp(-MAX_SI_SDR, MAX_SI_SDR)


def stft_distance(y: Tensor, x: Tensor) -> Tensor:
    """STFT distance of the Descript Audio Codec (Kumar et al. 2023, 2306.06546) of waveforms (B, samples).

    Mean absolute difference of the magnitudes, plus that of log10 of their squares, with magnitudes of at least 1e-5;
    summed over Hann windows of 2,048 and 512 samples with a hop of a quarter. Magnitudes are not scaled by the window,
    as in the source. So the first term grows with the level; a difference of 20 dB in all bins adds 4 by the second.
    Waveforms shorter than a window are padded with zeros.
    """
    batches = []
    for y_part, x_part in zip(y.split(STFT_BATCH), x.split(STFT_BATCH), strict=True):
        distance = torch.zeros(len(x_part), device=x.device)
        for size in STFT_WINDOWS:
            a, b = (
                _magnitudes(functional.pad(v, (0, max(0, size - v.shape[1]))), size, "reflect")
                for v in (y_part, x_part)
            )
            distance += (a - b).abs().mean((1, 2))
            a, b = a.clamp_min_(STFT_FLOOR), b.clamp_min_(STFT_FLOOR)
            distance += 2 * (a / b).log10_().abs_().mean((1, 2))
        batches.append(distance)
    return torch.cat(batches)


def log_spectral_distance(y: Tensor, x: Tensor, rate: int) -> Tensor:
    """Log-spectral distance in dB of waveforms (B, samples) at `rate` Hz (Gray and Markel 1976).

    Root mean square over frequencies of the difference of the log-power spectra, averaged over frames. Hann windows of
    the power of two nearest to 93 ms, with a hop of a quarter.
    """
    a, b = magnitudes(y, x, frame_length(rate))
    return (20 * (a.log10() - b.log10())).square().mean(1).sqrt().mean(1)


def mel_distance(y: Tensor, x: Tensor, rate: int) -> Tensor:
    """Mel distance of the Descript Audio Codec of waveforms (B, samples) at `rate` Hz, see `losses.spectral.MultiMel`.

    Dimensionless: 7 if all bands of all seven scales differ by 20 dB.
    """
    distance: Tensor = _multi_mel(rate)(y[:, None], x[:, None])
    return distance


@lru_cache(maxsize=4)
def _multi_mel(rate: int) -> MultiMel:
    return MultiMel(Signal("waveform", (), mean=0.0, std=1.0, representation={"sample_rate": rate}))


def frame_length(rate: int) -> int:
    """Samples in a frame of the log-spectral distance."""
    return 2 ** max(4, round(log2(FRAME_SECONDS * rate)))


def loudness_difference(y: Tensor, x: Tensor, rate: int) -> Tensor:
    """Absolute difference of the integrated loudness in LU of waveforms (B, samples) at `rate` Hz (ITU-R BS.1770-4).

    Silence has -70 LUFS, the level below which that loudness counts no block. Waveforms shorter than a block are padded
    with zeros. NaN below `MIN_LOUDNESS_RATE`.
    """
    if rate < MIN_LOUDNESS_RATE:
        return torch.full((len(x),), torch.nan)
    import pyloudnorm  # slow, since it needs scipy.signal

    meter = pyloudnorm.Meter(rate)
    length = max(x.shape[1], ceil(meter.block_size * rate) + 1)

    def loudness(waveforms: Tensor) -> Tensor:
        rows = functional.pad(waveforms, (0, length - waveforms.shape[1])).cpu().double().numpy()
        with np.errstate(divide="ignore", invalid="ignore"):  # of silence
            return torch.tensor([meter.integrated_loudness(row) for row in rows]).clamp_min(SILENCE_LUFS)

    return (loudness(y) - loudness(x)).abs()


def magnitudes(y: Tensor, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(B, bins, frames) magnitudes of two waveforms, at least 80 dB below the largest of `x` and at least -120 dB.

    Frames are centred with zero padding; a sine of amplitude 1 has a peak of 0.5.
    """
    a, b = (_magnitudes(v, size, "constant") * (2 / size) for v in (y, x))
    floor = (b.amax((1, 2), keepdim=True) * 10 ** (-FLOOR_DB / 20)).clamp_min(MIN_AMPLITUDE)
    return a.maximum(floor), b.maximum(floor)


def _magnitudes(waveforms: Tensor, size: int, pad_mode: str) -> Tensor:
    """(B, bins, frames) with a Hann window and a hop of a quarter, not scaled by the window."""
    window = torch.hann_window(size, device=waveforms.device)
    spectra = torch.stft(waveforms, size, size // 4, window=window, pad_mode=pad_mode, return_complex=True)
    parts = torch.view_as_real(spectra)  # several times as fast as abs() of complex numbers
    return (parts[..., 0].square() + parts[..., 1].square()).sqrt_()


def squared_frechet_distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """Squared Frechet distance between Gaussians fitted to the rows of (n, D) and (m, D), in squared feature units.

    |mean_a - mean_b|² + trace(A + B - 2 (A B)^(1/2)) with covariances A and B (Dowson and Landau 1982), as in the FID
    (arXiv 1706.08500), but of any features. The root is taken of A^(1/2) B A^(1/2), which is symmetric and has the same
    eigenvalues, so covariances without full rank are fine. Few rows make the distance larger: their covariances differ
    by chance, and more with more features. None for fewer than two rows, or for NaN and infinity.
    """
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    covariance_a, covariance_b = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (a, b))
    values, vectors = np.linalg.eigh(covariance_a)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    trace_of_root = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(0)).sum()
    mean_distance = np.square(a.mean(0) - b.mean(0)).sum()
    return max(0.0, float(mean_distance + np.trace(covariance_a) + np.trace(covariance_b) - 2 * trace_of_root))


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float | None:
    """Kernel audio distance (Chung et al. 2025, 2502.15602) of rows (n, D) from reference rows (n, D).

    100 times the unbiased estimate of the squared maximum mean discrepancy with a Gaussian kernel, as wide as the
    median distance of two rows of `b`. Row i of `a` is the reconstruction of row i of `b`, so this pair is left out, as
    each row's pair with itself (Gretton et al. 2012, lemma 6): equal rows have 0. Few rows make it noisier, but not
    larger, and it can be negative. Of many rows, `MAX_ROWS` are used. None for fewer than two rows, or for NaN and
    infinity.
    """
    if len(a) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    step = -(-len(a) // MAX_ROWS)
    x, y = (torch.from_numpy(rows[::step]).double() for rows in (a, b))
    pairs = ~torch.eye(len(x), dtype=torch.bool)
    width = max(float(np.median(torch.cdist(y, y)[pairs].numpy())), 1e-12)

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (-0.5 * (torch.cdist(one, other)[pairs] / width).square()).exp().mean()

    return 100 * float(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))


# By the name of the metric. On the variant's own scale, in [0, 1] for mels and [-1, 1] for waveforms:
OWN_SCALE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "cosine_similarity": cosine_similarity,
    "out_of_range": out_of_range,
}
# Of waveform variants only, also given the rate in Hz:
WAVEFORM: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "si_sdr": lambda y, x, rate: si_sdr(y, x),
    "stft_distance": lambda y, x, rate: stft_distance(y, x),
    "log_spectral_distance": log_spectral_distance,
}
# On the common log-mel (B, bands, frames); `bands.Bands` adds mel_mse, of all bands and of groups of bands:
COMMON_MEL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mel_cosine_similarity": cosine_similarity,
    "mel_log_spectral_distance": mel_log_spectral_distance,
}
# On audio at the common rate, given in Hz:
AUDIO: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "audio_mel_distance": mel_distance,
    "audio_stft_distance": lambda y, x, rate: stft_distance(y, x),
    "audio_si_sdr": lambda y, x, rate: si_sdr(y, x),
    "audio_log_spectral_distance": log_spectral_distance,
    "audio_loudness_difference": loudness_difference,
}
