"""Turn a log-mel spectrogram into audio, without a model and without torch: mel inversion, then Griffin-Lim.

Mel inversion finds the non-negative power spectrogram whose mel bands have the smallest Kullback-Leibler divergence
from the given ones, by the multiplicative updates of Lee and Seung (2001).
`librosa.feature.inverse.mel_to_stft` minimises the squared error, which gives quiet bands no weight:
on 5 s of decaying notes it stays at its first guess, with an error of 5.4 dB after 0.7 to 1.3 s. The 30 updates here
reach 0.4 dB in 0.01 s.

Griffin-Lim estimates the phases. It equals `librosa.griffinlim` except for the last digits, in 40 % of its time: frames
are rows and are added all at once, and magnitudes avoid `abs`, which is slow for complex numbers.
"""

from functools import lru_cache

import numpy as np
from scipy import fft
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.audio.mel_scale import mel_filters, split_rows
from pipeline.audio.representation import MelConfig
from pipeline.audio.scale import to_db

UPDATES = 30
BANDS_PER_BLOCK, BINS_PER_BLOCK = 16, 128
MOMENTUM = 0.99  # librosa's default


def mel_to_audio(unit_mel: np.ndarray, peak_db: float, config: MelConfig, length: int, iterations: int) -> np.ndarray:
    """Audio (length,) float32 of `unit_mel` (bands, frames) in [0, 1]; see `inversion.Inversion`."""
    power = np.power(10.0, to_db(unit_mel) / 10, dtype=np.float32)  # relative to the peak
    # One thread: these products are too small to share, and the result must not depend on the number of cores.
    with threadpool_limits(1, "blas"):
        spectrum = invert_filters(power, mel_filters(config.sample_rate, config.n_fft, len(power)))
    magnitudes = np.sqrt(spectrum * np.float32(10 ** (peak_db / 10)))
    return griffin_lim(magnitudes, config.n_fft, config.hop_length, length, iterations)


def invert_filters(power: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """A non-negative power spectrogram (bins, frames) whose bands, by `filters` (bands, bins), are close to `power`.

    `power` is (bands, frames); all are float32. A bin without a filter is zero.
    """
    target = np.ascontiguousarray(power.T)
    sums = filters.sum(axis=0)
    normalised = filters.T / np.where(sums > 0, sums, 1)[:, None]
    to_bands, to_bins = list(split_rows(filters, BANDS_PER_BLOCK)), list(split_rows(normalised, BINS_PER_BLOCK))
    spectrum = np.full((len(target), filters.shape[1]), np.sqrt(target.mean() / filters.shape[1]), np.float32)
    ratio = np.empty_like(target)
    for _ in range(UPDATES):
        for bands, bins, block in to_bands:
            np.matmul(spectrum[:, bins], block.T, out=ratio[:, bands])
        np.divide(target, np.maximum(ratio, np.finfo(np.float32).eps, out=ratio), out=ratio)
        for bins, bands, block in to_bins:
            spectrum[:, bins] *= ratio[:, bands] @ block.T
    return spectrum.T


def griffin_lim(magnitudes: np.ndarray, n_fft: int, hop_length: int, length: int, iterations: int) -> np.ndarray:
    """Audio (length,) float32 whose STFT has about these magnitudes, (bins, frames) float32.

    The fast Griffin-Lim algorithm of Perraudin, Balazs and Søndergaard (2013), from random phases of a fixed seed, with
    a Hann window and frames that are centred with zero padding.
    """
    target = np.ascontiguousarray(magnitudes.T)
    window = (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1)[:-1])).astype(np.float32)
    overlap = _overlap_add(np.broadcast_to(window**2, (len(target), n_fft)), hop_length)
    weight = np.divide(1, overlap, out=np.ones_like(overlap), where=overlap > np.finfo(np.float32).tiny)
    start = n_fft // 2

    def invert(spectra: np.ndarray) -> np.ndarray:
        """Inverse STFT with its padding, which is set to zero."""
        frames = fft.irfft(spectra, n_fft)
        frames *= window
        audio = _overlap_add(frames, hop_length)
        audio *= weight
        audio[:start] = audio[start + length :] = 0
        return audio

    spectra = target * _random_phases(*magnitudes.shape)
    momentum = np.float32(MOMENTUM / (1 + MOMENTUM))
    previous = np.zeros_like(spectra)
    frames = np.empty((len(target), n_fft), np.float32)
    for _ in range(iterations):  # works in place: new memory would take as long as the arithmetic
        framed = np.lib.stride_tricks.sliding_window_view(invert(spectra), n_fft)[::hop_length]
        rebuilt = fft.rfft(np.multiply(framed, window, out=frames))
        np.multiply(previous, -momentum, out=spectra)
        spectra += rebuilt
        previous = rebuilt
        magnitude = spectra.real**2
        magnitude += spectra.imag**2
        np.sqrt(magnitude, out=magnitude)
        magnitude += np.finfo(np.float32).tiny
        spectra *= np.divide(target, magnitude, out=magnitude)
    audio = invert(spectra)[start : start + length]
    return np.pad(audio, (0, length - len(audio)))


@lru_cache(maxsize=1)  # the same for all windows
def _random_phases(bins: int, frames: int) -> np.ndarray:
    """(frames, bins) complex64 numbers of magnitude 1, as librosa draws them."""
    cycles = np.ascontiguousarray(np.random.RandomState(0).random((bins, frames)).T)
    return np.exp(2j * np.pi * cycles).astype(np.complex64)


def _overlap_add(frames: np.ndarray, hop_length: int) -> np.ndarray:
    """Overlap-add of frames (n, n_fft) to (n_fft + (n - 1) * hop_length,) float32."""
    count, size = frames.shape
    hops = -(-size // hop_length)
    rows = np.zeros((count + hops, hop_length), np.float32)
    for hop in range(hops):  # the same part of all frames at once
        part = frames[:, hop * hop_length : (hop + 1) * hop_length]
        rows[hop : hop + count, : part.shape[1]] += part
    return rows.reshape(-1)[: size + (count - 1) * hop_length]
