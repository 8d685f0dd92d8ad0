"""The one way from a log-mel spectrogram to audio."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from pipeline.audio.representation import MelConfig
from pipeline.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

ITERATIONS = 32  # of Griffin-Lim


class Inversion:
    """Turns the mels of one representation into audio: by a vocoder, or without one by Griffin-Lim.

    A vocoder is a network from mels (1, bands, frames) float32 in [0, 1], where 1 is 0 dB of mel power and 0 is 80 dB
    below, to waveforms (1, samples) of at least (frames - 1) * hop_length samples. It takes any number of frames from 2
    on. `weights` is its file, and `load` reads it when it is first used.
    """

    def __init__(
        self,
        config: MelConfig,
        iterations: int = ITERATIONS,
        weights: Path | None = None,
        load: "Callable[[Path], Callable[[Tensor], Tensor]] | None" = None,
    ) -> None:
        self.config, self.iterations, self.weights, self._load = config, iterations, weights, load
        self._lock = Lock()

    @cached_property
    def _network(self) -> "Callable[[Tensor], Tensor]":
        assert self._load is not None and self.weights is not None
        return self._load(self.weights)

    @property
    def name(self) -> str:
        """What turns the mels into audio, as a part of a sentence."""
        return "a vocoder" if self.weights else f"Griffin-Lim with {self.iterations} iterations"

    def __call__(self, unit_mel: np.ndarray, peak_db: float, length: int) -> np.ndarray:
        """Audio (length,) float32 whose log-mel spectrogram is close to `unit_mel` (bands, frames); deterministic.

        In `unit_mel`, 1 is the window's peak and 0 is 80 dB below; values outside [0, 1] are clipped. `peak_db` is the
        peak in dB of mel power; it sets the loudness. Where phases add up, samples may exceed 1.

        Raises:
            DataError: `unit_mel` is not a finite (bands, frames) array, or `peak_db` is not finite, or the vocoder does
                not take this mel.
        """
        if np.ndim(unit_mel) != 2 or not np.isfinite(unit_mel).all() or not np.isfinite(peak_db):
            raise DataError(
                f"a mel of shape {np.shape(unit_mel)} with peak {peak_db} dB cannot become audio: "
                "it must be (bands, frames) and finite; train the variant again"
            )
        unit_mel = np.clip(unit_mel, 0, 1).astype(np.float32)
        if self.weights is not None:
            return self._vocode(unit_mel, length) * np.float32(10 ** (peak_db / 20))
        from pipeline.audio.griffin_lim import mel_to_audio  # scipy is slow to import, and a vocoder does not need it

        return mel_to_audio(unit_mel, peak_db, self.config, length, self.iterations)

    def _vocode(self, unit_mel: np.ndarray, length: int) -> np.ndarray:
        """Audio (length,) whose mel has its peak at 0 dB."""
        import torch

        with self._lock:  # threads share one network
            network = self._network
        audio = network(torch.from_numpy(unit_mel)[None]).float().numpy()
        least = (unit_mel.shape[1] - 1) * self.config.hop_length
        if audio.ndim != 2 or len(audio) != 1 or audio.shape[1] < least or not np.isfinite(audio).all():
            needed = f"it must be finite and (1, samples) with at least {least} samples"
            raise DataError(f"{self.weights}: it gives {audio.shape} for {unit_mel.shape[1]} frames; {needed}")
        return np.pad(audio[0, :length], (0, max(0, length - audio.shape[1])))
