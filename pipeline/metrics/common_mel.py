"""Where mel and waveform variants meet: any array of a window to audio, and to the common log-mel."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.cut import pad
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, RepresentationConfig, sample_count
from pipeline.audio.resample import resample
from pipeline.audio.scale import FLOOR_DB, to_unit
from pipeline.core.process import cores
from pipeline.metrics.config import same


class CommonMel:
    """From a representation to the common rate and the common log-mel.

    Args:
        mel: the common log-mel.
        representation: of the arrays.
        seconds: of a window.
        iterations: of Griffin-Lim.

    Attributes:
        direct: the representation is the common log-mel itself.
        length: samples of a window at the common rate.
    """

    def __init__(self, mel: MelConfig, representation: RepresentationConfig, seconds: float, iterations: int) -> None:
        self.mel, self.representation, self.seconds, self.iterations = mel, representation, seconds, iterations
        self.direct = representation.kind == "mel" and same(mel, representation)
        self.length = sample_count(seconds, mel.sample_rate)
        self._log_mel = LogMel(mel.sample_rate, mel.n_fft, mel.hop_length, mel.bands)

    def to_audio(self, array: np.ndarray, peak_db: float) -> np.ndarray:
        """(length,) float32 at the common rate: a waveform resampled, or a mel inverted.

        Args:
            array: (samples,) in [-1, 1], or (bands, frames) in [0, 1].
            peak_db: level of a mel's peak; a waveform has none.

        Raises:
            DataError: a mel is not finite.
        """
        own = self.representation
        if own.kind == "mel":
            from pipeline.audio.inversion import (
                mel_to_audio,
            )  # takes two seconds, which a waveform variant need not wait

            array = mel_to_audio(array, peak_db, own, sample_count(self.seconds, own.sample_rate), self.iterations)
        return pad(resample(array, own.sample_rate, self.mel.sample_rate)[: self.length], self.length)

    def to_mel(self, audio: np.ndarray, reference_db: np.ndarray) -> Tensor:
        """(B, bands, frames): 1 is the original's peak, 0 is 80 dB below, and what is lower counts as 0.

        What is louder than the original's peak passes 1.

        Args:
            audio: (B, length) at the common rate.
            reference_db: (B,) levels of the originals' peaks on the common log-mel.
        """
        with ThreadPoolExecutor(cores()) as executor:
            db = torch.stack(list(executor.map(self._log_mel, audio)))
        levels = torch.from_numpy(reference_db).float().reshape(-1, 1, 1)
        unit: Tensor = to_unit(db.sub_(levels).clamp_min_(-FLOOR_DB), "mel")
        return unit
