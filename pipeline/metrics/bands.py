"""The bands of the common log-mel: which are bass, middle and treble, and which a representation reaches."""

import librosa
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.audio.representation import MelConfig
from pipeline.metrics import measures
from pipeline.metrics.bootstrap import per_track

BORDERS = (250.0, 4000.0)  # Hz, between bass, middle and treble


class Bands:
    """Bands of `mel`, as seen by a representation of `sample_rate` Hz.

    Attributes:
        hertz: (bands,) the centre of each.
        reach_hz: the representation's Nyquist frequency, where some band lies not wholly below it; else None.
        groups: for bass, middle, treble and reach, (bands,) whether a band belongs to it, by its centre, or for reach
            by its upper end.
    """

    def __init__(self, mel: MelConfig, sample_rate: int) -> None:
        edges = librosa.mel_frequencies(mel.bands + 2, fmin=0, fmax=mel.sample_rate / 2)
        self.hertz = edges[1:-1]
        nyquist = sample_rate / 2
        self.reach_hz = None if sample_rate >= mel.sample_rate else nyquist
        low, high = BORDERS
        self.groups = {
            "bass": self.hertz < low,
            "middle": (low <= self.hertz) & (self.hertz < high),
            "treble": high <= self.hertz,
            "reach": edges[2:] <= nyquist if self.reach_hz else np.full(mel.bands, True),
        }

    def score(self, y: Tensor, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What each window's common log-mel shows, and the (B, bands) squared errors.

        A group that has no bands has no error: NaN.

        Args:
            y: (B, bands, frames) reconstructions: 1 is the original's peak, 0 is 80 dB below, and nothing is lower.
            x: likewise the originals.
        """
        errors = measures.wide((y - x).square().mean(2))
        found = {
            "mel_mse": errors.mean(1),
            "mel_cosine_similarity": measures.cosine_similarity(y, x),
            "mel_log_spectral_distance": measures.mel_log_spectral_distance(y, x),
        }
        for name, members in self.groups.items():
            found[f"mel_mse_{name}"] = errors[:, torch.from_numpy(members).to(errors.device)].mean(1)
        return found, errors

    def table(self, errors: np.ndarray, mean_error: np.ndarray, track_ids: np.ndarray) -> pd.DataFrame:
        """A seed's rows of bands.parquet: band, hertz, mse and mse_mean, means over tracks of those over windows.

        Args:
            errors: (windows, bands), of `score`.
            mean_error: (windows, bands), what the mean predictor costs.
            track_ids: (windows,).
        """
        mse, mse_mean = (per_track(e, track_ids, track_ids)[0].mean(0) for e in (errors, mean_error))
        numbers = np.arange(len(self.hertz))
        return pd.DataFrame({"band": numbers, "hertz": self.hertz, "mse": mse, "mse_mean": mse_mean})
