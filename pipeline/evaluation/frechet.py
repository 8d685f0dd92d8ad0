"""Frechet distances between sets of windows: test windows, their reconstructions, samples of the prior."""

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.scale import FLOOR_DB
from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.metrics.common_mel import ToMel
from pipeline.metrics.measures import squared_frechet_distance

BAND_GROUPS = 16
MAX_WINDOWS = 512  # windows per set


def features(mel: Tensor) -> np.ndarray:
    """(B, 32) in dB, of log-mels (B, bands, frames) in [0, 1]: mean and standard deviation over time of 16 band groups.

    A group is the mean of adjacent bands; the groups are as equal in size as possible. With fewer than 16 bands, each
    band is a group.
    """
    parts = torch.tensor_split(mel.cpu().double() * FLOOR_DB, min(BAND_GROUPS, mel.shape[1]), dim=1)
    groups = torch.stack([part.mean(1) for part in parts], dim=1)
    statistics: np.ndarray = torch.cat([groups.mean(-1), groups.std(-1, correction=0)], dim=1).numpy()
    return statistics


class FrechetSets:
    """Features of test windows, at most 512, and of as many reconstructions, samples of the prior and train windows.

    All are of the variant's own representation. So distances of two representations do not compare: a narrower
    frequency range gives smaller distances.
    """

    def __init__(self, test_windows: int, to_mel: ToMel) -> None:
        self.rows = evenly_spaced(test_windows, MAX_WINDOWS)
        self._to_mel = to_mel
        self._seen = 0  # test windows
        self._sets: dict[str, list[np.ndarray]] = {"test": [], "reconstructions": [], "samples": [], "floor": []}

    def missing(self, name: str) -> int:
        """Number of windows that a set still needs."""
        return len(self.rows) - sum(map(len, self._sets[name]))

    def add(self, name: str, windows: Tensor) -> None:
        """Add windows (B, 1, *shape) to a set, as far as it needs them."""
        needed = windows[: self.missing(name)]
        if len(needed):
            self._sets[name].append(features(self._to_mel(needed)))

    def add_reconstructions(self, x: Tensor, y: Tensor) -> None:
        """Add the next test windows (B, 1, *shape) and their reconstructions; in the end all of the split."""
        rows = self.rows - self._seen
        rows = rows[(rows >= 0) & (rows < len(x))].to(x.device)
        self._seen += len(x)
        self.add("test", x[rows])
        self.add("reconstructions", y[rows])

    def score(self, train: WindowLoader, batch_size: int) -> dict[str, float | None]:
        """Squared Frechet distances of the test windows to the other sets, by `features`, in dB^2.

        Returns:
            frechet_reconstructions: distance to their reconstructions; null where it is not defined.
            frechet_samples: distance to samples of the prior; null without any.
            frechet_floor: distance to real train windows; even a perfect generator is not expected below it.
        """
        for rows in evenly_spaced(len(train), len(self.rows)).split(batch_size):
            self.add("floor", train.batch(rows).x)
        sets = {name: np.concatenate(parts) for name, parts in self._sets.items() if parts}
        test = sets.pop("test")
        distances = {f"frechet_{name}": squared_frechet_distance(values, test) for name, values in sets.items()}
        return {"frechet_samples": None} | distances
