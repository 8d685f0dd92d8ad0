"""Log-mel spectrograms: the same as librosa's `melspectrogram` and `power_to_db` with their defaults, but faster."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.mel_scale import mel_filters, split_rows
from pipeline.audio.representation import MelConfig

AMIN = 1e-10  # smallest power, as in librosa
BANDS_PER_GROUP = 16
FRAMES_PER_BATCH = 256  # more frames do not fit into the processor's cache


class LogMel:
    """Audio to the power of mel bands in dB.

    As in librosa: Slaney mel scale and norm, Hann window, power 2, frames centred with zero padding.
    """

    def __init__(self, config: MelConfig) -> None:
        self.n_fft, self.hop_length = config.n_fft, config.hop_length
        self.hann = torch.hann_window(config.n_fft)
        filters = mel_filters(config.sample_rate, config.n_fft, config.bands)
        self.groups = [(bins, torch.from_numpy(block).T) for _, bins, block in split_rows(filters, BANDS_PER_GROUP)]

    def __call__(self, audio: np.ndarray) -> Tensor:
        """(samples,) float32 to (bands, frames) float32, power in dB, at least -100."""
        half = self.n_fft // 2
        padded = torch.zeros(len(audio) + 2 * half)
        padded[half : half + len(audio)] = torch.from_numpy(audio)
        frames = padded.unfold(0, self.n_fft, self.hop_length)
        mel = torch.cat([self._power(batch) for batch in frames.split(FRAMES_PER_BATCH)])
        return mel.clamp_min_(AMIN).log10_().mul_(10).T

    def _power(self, frames: Tensor) -> Tensor:
        """(n, n_fft) frames to (n, bands)."""
        spectrum = torch.fft.rfft(frames * self.hann).numpy()
        squares = spectrum.real**2  # NumPy is twice as fast as torch here
        squares += spectrum.imag**2
        power = torch.from_numpy(squares)
        return torch.cat([power[:, bins] @ weights for bins, weights in self.groups], dim=1)


@cache
def log_mel(config: MelConfig) -> LogMel:
    """A `LogMel` that is made only once per process."""
    return LogMel(config)
