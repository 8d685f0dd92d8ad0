"""The difference between two variants on the same recordings."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.metrics.bootstrap import mean_over_seeds
from pipeline.report.formatting import DASH, NBSP


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of a metric between two variants on the same recordings, with its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def in_percent(self, base: float) -> tuple[str, str]:
        """The difference and its interval in per cent of `base`: +3.1 %, and +0.4 to +5.2; whole numbers from 100."""
        if not base:
            return DASH, ""
        change, low, high = (_signed(100 * value / base) for value in (self.difference, self.low, self.high))
        return f"{change}{NBSP}%", f"{low} to {high}"


def _signed(percent: float) -> str:
    """Two digits, but no more than two decimals."""
    if abs(percent) < 0.1:
        return f"{percent:+z.2f}"
    return f"{percent:+.2g}" if abs(percent) < 99.5 else f"{percent:+,.0f}"


def paired_difference(
    a: pd.DataFrame | None, b: pd.DataFrame | None, metric: str, resamples: int
) -> PairedDifference | None:
    """Difference of `metric`, a - b, per recording and seed; None without two common groups.

    A recording that is hard for one variant is hard for the other. This cancels, so the interval of the difference is
    narrower than the intervals of the two errors. It covers the choice of recordings and of seeds, over the seeds that
    both have. If they share none, the means over each one's seeds are compared. Then, and with one seed, the interval
    covers recordings only.
    """
    if a is None or b is None or metric not in a or metric not in b:
        return None
    means_a, means_b = (table.groupby(["track_id", "group", "seed"])[metric].mean().unstack("seed") for table in (a, b))
    seeds = means_a.columns.intersection(means_b.columns)
    if seeds.empty:
        means_a, means_b = (means.mean(axis=1, skipna=False).to_frame() for means in (means_a, means_b))
        seeds = means_a.columns
    differences = (means_a[seeds] - means_b[seeds]).dropna()
    if differences.empty:
        return None
    groups = differences.index.get_level_values("group").to_numpy()
    result = mean_over_seeds(differences.to_numpy().T[:, :, None], groups, resamples)
    if np.isnan(result.low[0]):
        return None
    return PairedDifference(float(result.mean[0]), float(result.low[0]), float(result.high[0]))
