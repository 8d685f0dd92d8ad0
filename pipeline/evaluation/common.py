"""Where mel and waveform variants meet: any array of a window to audio, and to the common log-mel."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.cut import padded
from pipeline.audio.mel import LogMel
from pipeline.audio.resample import resample
from pipeline.audio.scale import FLOOR_DB, to_unit
from pipeline.cache.config import MelConfig, RepresentationConfig, samples
from pipeline.evaluation.config import same
from pipeline.runtime import cores


class Common:
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
        self.length = samples(seconds, mel.sample_rate)
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

            array = mel_to_audio(array, peak_db, own, samples(self.seconds, own.sample_rate), self.iterations)
        return padded(resample(array, own.sample_rate, self.mel.sample_rate)[: self.length], self.length)

    def to_mel(self, arrays: Tensor, peak_db: np.ndarray | None, reference_db: np.ndarray) -> Tensor:
        """(B, bands, frames): 1 is the original's peak, 0 is 80 dB below, and what is lower counts as 0.

        What is louder than the original's peak passes 1.

        Args:
            arrays: (B, *shape) on the representation's scale.
            peak_db: (B,) levels of their peaks where it is a mel.
            reference_db: (B,) levels of the originals' peaks on the common log-mel.
        """
        if self.direct:
            return arrays.clamp_min(0)
        levels = np.zeros(len(arrays)) if peak_db is None else peak_db

        def convert(array: np.ndarray, level: float, reference: float) -> Tensor:
            return self._log_mel(self.to_audio(array, level)) - reference

        with ThreadPoolExecutor(cores()) as executor:
            found = executor.map(convert, arrays.cpu().numpy(), levels.tolist(), reference_db.tolist())
            db = torch.stack(list(found)).clamp_min_(-FLOOR_DB)
        unit: Tensor = to_unit(db, "mel")
        return unit.to(arrays.device)
