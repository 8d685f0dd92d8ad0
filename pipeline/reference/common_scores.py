"""Score mel and waveform variants on the same ground: the common log-mel, and audio at the common rate."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import RepresentationConfig
from pipeline.audio.scale import to_unit
from pipeline.metrics import measures, visqol
from pipeline.metrics.bands import Bands
from pipeline.metrics.common_mel import CommonMel
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.read import Reference


def score_audio(audio: np.ndarray, reference: Reference, settings: EvaluateConfig) -> dict[str, np.ndarray]:
    """(windows,) of each metric; NaN for windows that are not scored on audio. `audio` is (H, samples)."""
    audio_measures = measures.AUDIO | ({"audio_visqol": visqol.load()} if settings.visqol else {})
    # One window at a time fits the CPU cache.
    pairs = list(zip(*(torch.from_numpy(rows).split(1) for rows in (audio, reference.audio)), strict=True))
    scores = {}
    for name, measure in audio_measures.items():
        scores[name] = np.full(len(reference.windows), np.nan)
        scores[name][reference.audio_rows] = [float(measure(y, x, reference.mel_config.sample_rate)) for y, x in pairs]
    return scores


@dataclass(frozen=True)
class CommonScores:
    """Scores of all test windows."""

    windows: dict[str, np.ndarray]  # (windows,) by metric; audio_* are NaN for windows that are not scored on audio
    bands: pd.DataFrame  # bands.parquet, see `Bands.table`
    audio: np.ndarray  # (H, samples) float32, the windows that are scored on audio


class CommonScorer:
    """Scores reconstructions of the test windows, given in order and batch by batch, against `reference`."""

    def __init__(
        self,
        reference: Reference,
        representation: RepresentationConfig,
        seconds: float,
        inversion: Inversion | None,
        settings: EvaluateConfig,
    ) -> None:
        self.reference, self.settings = reference, settings
        self.common = CommonMel(reference.mel_config, representation, seconds, inversion)
        self.bands = Bands(reference.mel_config, representation.sample_rate)
        self._count = 0
        self._metrics: dict[str, list[Tensor]] = {}
        self._errors: list[Tensor] = []
        self._audio: list[np.ndarray] = []

    def add(self, windows: Tensor, peak_db: np.ndarray | None) -> None:
        """Score the next windows (B, *shape) on the representation's scale; the originals' peaks are `peak_db` (B,)."""
        rows = np.arange(self._count, self._count + len(windows))
        self._count += len(windows)
        has_audio = np.isin(rows, self.reference.audio_rows)
        if self.common.is_common:  # only what is scored on audio needs the inversion
            mel = windows.clamp_min(0)
            selected = windows[torch.from_numpy(has_audio).to(windows.device)]
            audio = self.common.to_audio(selected.cpu().numpy(), None if peak_db is None else peak_db[has_audio])
        else:
            all_audio = self.common.to_audio(windows.cpu().numpy(), peak_db)
            peaks = self.reference.windows["peak_db"].to_numpy()[rows]
            mel = self.common.to_mel(all_audio, peaks).to(windows.device)
            audio = all_audio[has_audio]
        self._audio.append(audio)
        original = to_unit(torch.from_numpy(self.reference.mel[rows]).to(windows.device).float(), "mel")
        metrics, errors = self.bands.score(mel, original)
        for name, values in metrics.items():
            self._metrics.setdefault(name, []).append(values)
        self._errors.append(errors)

    def finish(self) -> CommonScores:
        """The scores of all added windows."""
        windows = {name: torch.cat(parts).double().cpu().numpy() for name, parts in self._metrics.items()}
        audio = np.concatenate(self._audio)
        windows |= score_audio(audio, self.reference, self.settings)
        track_ids, errors = self.reference.windows["track_id"].to_numpy(), torch.cat(self._errors).cpu().numpy()
        return CommonScores(windows, self.bands.table(errors, self.reference.mean_error, track_ids), audio)
