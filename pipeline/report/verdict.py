"""The best variant, and whether the second best is significantly worse on the same recordings."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.metrics.bootstrap import bootstrap_mean
from pipeline.report.formatting import DASH, NBSP, percent
from pipeline.report.table import Row, by_input, rank


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
        percents = [100 * value / base for value in (self.difference, self.low, self.high)]
        texts = [f"{value:+.2g}" if abs(value) < 99.5 else f"{value:+,.0f}" for value in percents]
        return f"{texts[0]}{NBSP}%", f"{texts[1]} to {texts[2]}"


@dataclass(frozen=True)
class Lead:
    """The best and the second best variant by one metric; the second is None if only one variant competes."""

    scale: str
    note: str
    metric: str
    best: Row
    second: Row | None
    difference: PairedDifference | None


def find_verdict(rows: list[Row], windows: dict[str, pd.DataFrame], resamples: int) -> tuple[str, list[Lead]]:
    """The headline, and the lead of all variants on the common log-mel and of each input on its own scale.

    `windows` holds windows.parquet of each variant; `resamples` is the number of bootstrap resamples.
    """
    competing = [row for row in rows if row.competes]
    groups = [("common log-mel", "all inputs", "mel_mse", competing)]
    groups += [(name, "own scale", "mse", same_input) for name, same_input in by_input(competing).items()]
    leads = []
    for scale, note, metric, group in groups:
        best, second, *_ = [*rank(group, metric), None, None]
        if best:
            second_windows = windows.get(second.variant) if second else None
            difference = paired_difference(second_windows, windows.get(best.variant), metric, resamples)
            leads.append(Lead(scale, note, metric, best, second, difference))
    if not leads:
        evaluated = [row for row in rows if row.role == "variant" and row.evaluated]
        if evaluated and all(row.collapsed for row in evaluated):
            return "Every evaluated variant has collapsed.", []
        return "No variant has results yet.", []
    name, relative = leads[0].best.variant, leads[0].best[f"{leads[0].metric}_relative"]
    if relative is None:
        headline = f"{name} has the lowest error of all trained variants."
    elif relative < 1:
        share = f"{percent(relative)} of the error of predicting the training mean"
        headline = f"{name} has the lowest error of all trained variants: {share}."
    else:
        headline = f"No variant is better than predicting the training mean; {name} is the closest."
    return headline, leads


def paired_difference(
    a: pd.DataFrame | None, b: pd.DataFrame | None, metric: str, resamples: int
) -> PairedDifference | None:
    """Difference of `metric`, a - b, per recording; None without two common groups.

    A recording that is hard for one variant is hard for the other. This cancels, so the interval of the difference is
    narrower than the intervals of the two errors.
    """
    if a is None or b is None or metric not in a or metric not in b:
        return None
    means_a, means_b = (table.groupby(["track_id", "group"])[metric].mean() for table in (a, b))
    differences = (means_a - means_b).dropna()
    groups = differences.index.get_level_values("group").to_numpy()
    result = bootstrap_mean(differences.to_numpy()[:, None], groups, resamples)
    if np.isnan(result.low[0]):
        return None
    return PairedDifference(float(result.mean[0]), float(result.low[0]), float(result.high[0]))
