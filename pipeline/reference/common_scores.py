"""What mel and waveform variants are both scored on: the common log-mel, and audio at the common rate."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.representation import RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.metrics import audio
from pipeline.metrics.bands import Bands
from pipeline.metrics.common_mel import CommonMel
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.read import Reference


@dataclass(frozen=True)
class Found:
    """Of all test windows.

    Attributes:
        windows: a (windows,) array per metric; NaN in audio_* where a window is not heard.
        errors: (windows, bands) squared errors on the common log-mel.
        audio: (H, samples) float32, the windows that are heard.
    """

    windows: dict[str, np.ndarray]
    errors: np.ndarray
    audio: np.ndarray


class CommonScores:
    """Scores reconstructions of the test windows, which come batch by batch and in order.

    Args:
        reference: the original windows.
        representation: of the reconstructions.
        seconds: of a window.
        settings: of the evaluation.
    """

    def __init__(
        self, reference: Reference, representation: RepresentationConfig, seconds: float, settings: EvaluateConfig
    ) -> None:
        self.reference = reference
        self.common = CommonMel(settings.mel, representation, seconds, settings.griffin_lim_iterations)
        self.bands = Bands(settings.mel, representation.sample_rate)
        self._seen = 0
        self._scores: dict[str, list[Tensor]] = {}
        self._errors: list[Tensor] = []
        self._audio: list[np.ndarray] = []

    def add(self, arrays: Tensor, peak_db: np.ndarray | None) -> None:
        """Score the next windows.

        Args:
            arrays: (B, *shape) on the representation's scale.
            peak_db: (B,) the originals' levels where it is a mel.
        """
        rows = np.arange(self._seen, self._seen + len(arrays))
        self._seen += len(arrays)
        heard = np.isin(rows, self.reference.heard)
        if self.common.direct:  # what is heard is all that must become audio
            mel = arrays.clamp_min(0)
            which = torch.from_numpy(heard).to(arrays.device)
            found = self._render(arrays[which], None if peak_db is None else peak_db[heard])
        else:
            every = self._render(arrays, peak_db)
            mel = self.common.to_mel(every, self.reference.windows["peak_db"].to_numpy()[rows]).to(arrays.device)
            found = every[heard]
        self._audio.append(found)
        original = to_unit(torch.from_numpy(self.reference.mel[rows]).to(arrays.device).float(), "mel")
        scores, errors = self.bands.score(mel, original)
        for name, values in scores.items():
            self._scores.setdefault(name, []).append(values)
        self._errors.append(errors)

    def _render(self, arrays: Tensor, peak_db: np.ndarray | None) -> np.ndarray:
        return audio.render(self.common, arrays.cpu().numpy(), peak_db)

    def finish(self) -> Found:
        """The scores of all windows that were added."""
        windows = {name: torch.cat(parts).double().cpu().numpy() for name, parts in self._scores.items()}
        heard = np.concatenate(self._audio)
        for name, values in audio.score(heard, self.reference.audio, self.common.mel.sample_rate).items():
            windows[name] = np.full(self._seen, np.nan)
            windows[name][self.reference.heard] = values
        return Found(windows, torch.cat(self._errors).cpu().numpy(), heard)
