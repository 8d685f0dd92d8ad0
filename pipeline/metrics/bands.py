"""Scores on the bands of the common log-mel: all, bass, middle, treble, and those that a representation reaches."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.audio.mel_scale import band_edges
from pipeline.audio.representation import MelConfig
from pipeline.metrics import measures
from pipeline.metrics.bootstrap import track_means

BASS_HZ, TREBLE_HZ = 250.0, 4000.0  # bass is below, treble is from here on


class Bands:
    """Bands of `mel`, for a representation of `sample_rate` Hz.

    Attributes:
        hertz: (bands,) centre frequencies.
        bandwidth_hz: the representation's Nyquist frequency if a band of `mel` lies above it, else None.
        groups: for bass, middle, treble and bandwidth, (bands,) whether a band belongs to it. The first three depend on
            a band's centre; a band is within the bandwidth if its upper edge is not above `bandwidth_hz`.
    """

    def __init__(self, mel: MelConfig, sample_rate: int) -> None:
        edges = band_edges(mel.sample_rate, mel.bands)
        self.hertz = edges[1:-1]
        nyquist = sample_rate / 2
        self.bandwidth_hz = None if sample_rate >= mel.sample_rate else nyquist
        self.groups = {
            "bass": self.hertz < BASS_HZ,
            "middle": (self.hertz >= BASS_HZ) & (self.hertz < TREBLE_HZ),
            "treble": self.hertz >= TREBLE_HZ,
            "bandwidth": edges[2:] <= nyquist if self.bandwidth_hz else np.full(mel.bands, True),
        }

    def score(self, y: Tensor, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """(B,) values of each metric on the common log-mel, and (B, bands) squared errors.

        Reconstructions y and originals x are (B, bands, frames): 1 is the original's peak, 0 (the minimum) is 80 dB
        below. The error of a group without bands is NaN.
        """
        errors = measures.to_double((y - x).square().mean(2))
        metrics = {"mel_mse": errors.mean(1)}
        metrics |= {name: measure(y, x) for name, measure in measures.COMMON_MEL.items()}
        for name, members in self.groups.items():
            metrics[f"mel_mse_{name}"] = errors[:, torch.from_numpy(members).to(errors.device)].mean(1)
        return metrics, errors

    def table(self, errors: np.ndarray, mean_error: np.ndarray, track_ids: np.ndarray) -> pd.DataFrame:
        """bands.parquet of one seed: band, hertz, mse and mse_mean, averaged over each track, then over tracks.

        `errors` (of `score`) and `mean_error` (of the mean predictor) are (windows, bands).
        """
        mse, mse_mean = (track_means(e, track_ids, track_ids)[0].mean(0) for e in (errors, mean_error))
        return pd.DataFrame({"band": np.arange(len(self.hertz)), "hertz": self.hertz, "mse": mse, "mse_mean": mse_mean})
