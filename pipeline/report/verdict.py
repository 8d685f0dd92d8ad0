"""The best variant, and whether the second best is significantly worse on the same recordings."""

from dataclasses import dataclass

import pandas as pd

from pipeline.report.paired import PairedDifference, paired_difference
from pipeline.report.table import Row, by_input, rank


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
    best = leads[0].best
    relative = best[f"{leads[0].metric}_relative"]
    if relative is not None and relative >= 1:
        return f"No variant is better than predicting the training mean; {best.variant} is the closest.", leads
    headline = f"{best.variant} has the lowest error of all trained variants"
    difference, second = leads[0].difference, leads[0].second
    if difference and second and not difference.significant:
        headline += f", not significantly below {second.variant}"
    return f"{headline}.", leads
