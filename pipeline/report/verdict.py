"""What won, and whether the next best is really worse: both are scored on the same recordings, which pairs them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.metrics.bootstrap import estimate
from pipeline.report import table
from pipeline.report.table import Row
from pipeline.report.text import NONE, SPACE, percent, span


@dataclass(frozen=True)
class Pair:
    """How much more of a metric one variant has than another on the same windows, with its 95 % interval."""

    difference: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def shares(self, of: float) -> tuple[str, str]:
        """The difference and its interval in per cent of `of`: +3.1 %, and +0.4 to +5.2; whole numbers from 100 on."""
        if not of:  # nothing is left of the best one's error
            return NONE, ""
        percents = [100 * value / of for value in (self.difference, self.low, self.high)]
        found = [f"{value:+.2g}" if abs(value) < 99.5 else f"{value:+,.0f}" for value in percents]
        return f"{found[0]}{SPACE}%", f"{found[1]} to {found[2]}"


@dataclass(frozen=True)
class Lead:
    """The best two variants on one scale."""

    scale: str
    note: str
    best: str
    error: float
    interval: str
    relative: float | None
    rival: str
    pair: Pair | None


@dataclass(frozen=True)
class Verdict:
    """The page's first words, who leads on each scale, and the name of the best variant."""

    headline: str
    leads: list[Lead]
    best: str = ""


def verdict(found: list[Row], windows: dict[str, pd.DataFrame], resamples: int) -> Verdict:
    """On the common log-mel, where all inputs compare, then input by input on its own scale.

    Args:
        found: all rows.
        windows: windows.parquet of each variant.
        resamples: of the bootstrap.
    """
    competing = [row for row in found if row.competes]
    common = table.ranked(competing, "mel_mse")
    leads = [_lead("common log-mel", "all inputs", "mel_mse", common, windows, resamples)] if common else []
    for representation in dict.fromkeys(row.representation for row in competing):
        same = table.ranked([row for row in competing if row.representation == representation], "mse")
        if same:
            leads.append(_lead(representation, "own scale", "mse", same, windows, resamples))
    if not leads:
        learnt = [row for row in found if row.role == "variant" and row.evaluated]
        collapsed = learnt and all(row.collapsed for row in learnt)
        said = (
            "Every variant that was scored has collapsed." if collapsed else "No variant has a result to compare yet."
        )
        return Verdict(said, [])
    first = leads[0]
    if first.relative is None:
        headline = f"{first.best} has the lowest error of all trained variants."
    elif first.relative < 1:
        left = f"{percent(first.relative)} of what predicting the training mean leaves"
        headline = f"{first.best} has the lowest error of all trained variants: {left}."
    else:
        headline = f"No variant does better than predicting the training mean; {first.best} is nearest."
    return Verdict(headline, leads, first.best)


def _lead(
    scale: str, note: str, metric: str, ranking: list[Row], windows: dict[str, pd.DataFrame], resamples: int
) -> Lead:
    best, rival = ranking[0], ranking[1] if len(ranking) > 1 else None
    return Lead(
        scale=scale,
        note=note,
        best=best.variant,
        error=best[metric] or 0.0,
        interval=span(best[f"{metric}_low"], best[f"{metric}_high"]),
        relative=best[f"{metric}_relative"],
        rival=rival.variant if rival else "",
        pair=paired(windows.get(rival.variant), windows.get(best.variant), metric, resamples) if rival else None,
    )


def paired(one: pd.DataFrame | None, other: pd.DataFrame | None, metric: str, resamples: int) -> Pair | None:
    """`metric` of `one` less that of `other`, track by track; None where they have no two groups in common.

    What makes a recording hard is hard for both and cancels, so that the interval is narrower than those of the two.
    """
    if one is None or other is None or metric not in one or metric not in other:
        return None
    keys = ["track_id", "group"]
    means = [table.groupby(keys)[metric].mean() for table in (one, other)]
    tracks = (means[0] - means[1]).dropna()
    found = estimate(tracks.to_numpy()[:, None], tracks.index.get_level_values("group").to_numpy(), resamples)
    if np.isnan(found.low[0]):
        return None
    return Pair(float(found.mean[0]), float(found.low[0]), float(found.high[0]))
