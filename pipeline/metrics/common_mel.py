"""Bring windows of any representation to audio at one rate and to one log-mel, on which all variants are compared."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import log10

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from pipeline.audio.cut import pad
from pipeline.audio.inversion import Inversion
from pipeline.audio.mel import AMIN, LogMel
from pipeline.audio.representation import MelConfig, RepresentationConfig, sample_count
from pipeline.audio.resample import resample
from pipeline.audio.scale import FLOOR_DB, below_peak_, to_unit, to_unit_
from pipeline.core.process import cores

ToMel = Callable[[Tensor], Tensor]


class CommonMel:
    """Converts windows of a representation to audio at the common rate, and that audio to the common log-mel.

    Attributes:
        is_common: the representation is the common log-mel itself.
        length: samples of a window at the common rate.
    """

    def __init__(
        self, mel: MelConfig, representation: RepresentationConfig, seconds: float, inversion: Inversion | None
    ) -> None:
        self.mel, self.representation, self.seconds, self.inversion = mel, representation, seconds, inversion
        span = {"train_span_seconds"}
        self.is_common = mel.model_dump(exclude=span) == representation.model_dump(exclude=span)
        self.length = sample_count(seconds, mel.sample_rate)
        self._log_mel = LogMel(mel)

    def to_audio(self, windows: np.ndarray, peak_db: np.ndarray | None) -> np.ndarray:
        """(B, length) float32 at the common rate.

        Waveforms (B, samples) are resampled; mels (B, bands, frames) in [0, 1] with peaks (B,) become audio first.

        Raises:
            DataError: a mel is not finite.
        """
        peaks = np.zeros(len(windows)) if peak_db is None else peak_db
        # Limit BLAS here: Griffin-Lim does it too, and parallel inversions would undo each other's limit.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as executor:
            audio = list(executor.map(self._window_to_audio, windows, peaks.tolist()))
        return np.array(audio, np.float32).reshape(-1, self.length)

    def _window_to_audio(self, window: np.ndarray, peak_db: float) -> np.ndarray:
        rate = self.representation.sample_rate
        if self.inversion is not None:
            window = self.inversion(window, peak_db, sample_count(self.seconds, rate))
        return pad(resample(window, rate, self.mel.sample_rate)[: self.length], self.length)

    def to_mel(self, audio: np.ndarray, peak_db: np.ndarray) -> Tensor:
        """(B, bands, frames) of audio (B, length) at the common rate.

        1 is the original's peak, `peak_db` (B,); 0 is 80 dB below it or less; louder values exceed 1.
        """
        with ThreadPoolExecutor(cores()) as executor:
            db = torch.stack(list(executor.map(self._log_mel, audio)))
        peaks = torch.from_numpy(peak_db).float().reshape(-1, 1, 1)
        unit: Tensor = to_unit(db.sub_(peaks).clamp_min_(-FLOOR_DB), "mel")
        return unit


def peak_normalised_mel(mel: MelConfig, representation: RepresentationConfig) -> ToMel:
    """A function from windows (B, 1, *shape) to (B, bands, frames) on the CPU: 1 is the peak, 0 is 80 dB below.

    It compares windows without an original, such as samples: each is relative to its own peak. A mel, with any number
    of bands, is only clamped at 0. A waveform is resampled to the rate of `mel`; silence is 0.
    """
    if representation.kind == "mel":
        return lambda x: x.squeeze(1).clamp_min(0).cpu()
    log_mel = LogMel(mel)
    rate = representation.sample_rate
    lowest_peak_db = 10 * log10(AMIN) + FLOOR_DB  # a lower peak would raise the log-mel's own floor above 0

    def to_mel(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(cores()) as executor:
            waveforms = x.squeeze(1).cpu().numpy()
            mels = executor.map(lambda waveform: log_mel(resample(waveform, rate, mel.sample_rate)), waveforms)
            db = torch.stack(list(mels))
        unit: Tensor = to_unit_(below_peak_(db, lowest_peak_db), "mel")
        return unit

    return to_mel
