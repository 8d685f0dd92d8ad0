"""Mean and standard deviation of the train split, from sums that shards carry."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor


class Statistics:
    """Sums over windows on the scale that models see, per mel band, or over all samples of a waveform."""

    def __init__(self, bands: int) -> None:
        self.count = 0  # values of each band
        self.total, self.square = np.zeros(bands), np.zeros(bands)

    def add(self, values: Tensor) -> None:
        """Take in one window, (bands, frames) or (samples,) float32."""
        wide = values.reshape(len(self.total), -1).double()
        self.count += wide.shape[1]
        self.total += wide.sum(1).numpy()
        self.square += wide.square().sum(1).numpy()

    def dump(self) -> str:
        """As JSON, to the last bit."""
        return json.dumps({"count": self.count, "total": self.total.tolist(), "square": self.square.tolist()})


def combine(dumped: Iterable[str | bytes]) -> dict[str, Any]:
    """`mean` and `std` of what several `dump`s hold: a list over bands, or a number."""
    parts = [json.loads(text) for text in dumped]
    count = sum(part["count"] for part in parts)
    mean = np.sum([part["total"] for part in parts], axis=0) / count
    variance = np.sum([part["square"] for part in parts], axis=0) / count - np.square(mean)
    std = np.sqrt(np.maximum(variance, 0))
    return {name: v.tolist() if len(v) > 1 else float(v[0]) for name, v in (("mean", mean), ("std", std))}
