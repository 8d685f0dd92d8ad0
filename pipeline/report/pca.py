"""Each variant beside PCA of its own size: PCA with as many numbers per window as the variant's latent."""

from math import nan

import pandas as pd

from pipeline.core import arrays
from pipeline.core.artefacts import read_json, read_table, readable
from pipeline.metrics.pca import pca_errors
from pipeline.report.formatting import NBSP
from pipeline.report.paired import paired_difference
from pipeline.report.probes import PROBES
from pipeline.report.table import Row, finite, rank, ratio

BETTER, WORSE, UNCLEAR, NO_INTERVAL = "better", "worse", "not significant", "without interval"


def add_pca_ratios(rows: list[Row], windows: dict[str, pd.DataFrame], resamples: int) -> dict[str, list[str]]:
    """Set mse_pca, the error of PCA of the same size, and pca_ratio with its interval, in the rows that have them.

    PCA is the baseline of the same input if it has enough components, else the components of the variant itself.
    `windows` holds windows.parquet of each row; `resamples` is the number of bootstrap resamples.

    Returns:
        Reason -> the scored variants that have no such comparison for it.
    """
    baselines = find_baselines(rows)
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.role != "variant" or row["mse"] is None:
            continue
        baseline, sizes = baselines.get(row.representation, (None, None))
        errors = {} if sizes is None else dict(zip(sizes["latent"], sizes["mse"], strict=True))
        reason = why_not_compared(row.numbers, row.has_skips, row.representation, max(errors, default=0))
        if reason:
            reasons.setdefault(reason, []).append(row.variant)
            continue
        own, size = windows.get(row.variant), int(row["latent_dims"] or 0)
        if baseline and size in errors:
            error, pca_windows = finite(errors[size]), read_pca_windows(baseline, windows.get(baseline.variant), size)
        else:
            error = row["mse_components"]
            pca_windows = None if own is None else own.assign(mse=own.get("mse_components", nan))
        row.numbers.update(mse_pca=error, pca_ratio=ratio(row["mse"], error))
        difference = paired_difference(own, pca_windows, "mse", resamples)
        if difference and error:
            row.numbers.update(pca_ratio_low=1 + difference.low / error, pca_ratio_high=1 + difference.high / error)
    return reasons


def find_baselines(rows: list[Row]) -> dict[str, tuple[Row, pd.DataFrame]]:
    """Representation -> its baseline with the most components, and its sizes.parquet (0 to K components).

    The table lacks probes of what the data do not know.
    """
    baselines: dict[str, tuple[Row, pd.DataFrame]] = {}
    for row in rows:
        path = row.folder / "sizes.parquet"
        if row.role == "baseline" and path.is_file():
            sizes = read_table(path, ["latent", "mse", "mse_low", "mse_high"], optional=tuple(PROBES))
            baselines[row.representation] = max(
                baselines.get(row.representation, (row, sizes)), (row, sizes), key=lambda pair: len(pair[1])
            )
    return baselines


def why_not_compared(
    metrics: dict[str, float | None], has_skips: bool, representation: str, components: int
) -> str | None:
    """Why a variant with these metrics has no PCA of the same size; None if it has.

    `components` is the number that the baseline of the representation has, 0 without one.
    """
    size = metrics.get("latent_dims")
    if metrics.get("perplexity") is not None:
        return "codes are not coordinates"
    if has_skips:
        return "skip connections pass more than the latent"
    if metrics.get("mse_components") is not None:
        return None
    if components < 1 or size is None:
        return f"no PCA of {representation}"
    return f"{size:,.0f} numbers, more than the {components:,} components of PCA" if size > components else None


def read_pca_windows(baseline: Row, windows: pd.DataFrame | None, components: int) -> pd.DataFrame | None:
    """`windows`, windows.parquet of `baseline`, with the errors of its first components alone; None without it."""
    if windows is None:
        return None
    path = baseline.folder / "latents.parquet"
    with readable(path):
        latents = arrays.unpack(arrays.read(path), "latent")
        shape = read_json(baseline.folder / "config.json")["shape"]
        return windows.assign(mse=pca_errors(windows["mse"].to_numpy(), latents, shape)[:, components])


def pca_verdict(row: Row) -> str:
    """Whether the variant is better than PCA of its size, by the interval of pca_ratio; "" without a comparison."""
    low, high = row["pca_ratio_low"], row["pca_ratio_high"]
    if row["pca_ratio"] is None:
        return ""
    if low is None or high is None:
        return NO_INTERVAL
    return BETTER if high < 1 else WORSE if low > 1 else UNCLEAR


def pca_difference(row: Row) -> str:
    """By how much the variant's error differs from that of PCA of its size: 3.1 % below."""
    change = (row["pca_ratio"] or 1.0) - 1
    size = abs(100 * change)
    return f"{size:.{1 if size < 9.95 else 0}f}{NBSP}% {'below' if change < 0 else 'above'}"


def pca_sentence(rows: list[Row]) -> str:
    """How many variants are better than PCA of their size, and the best of them; "" if none can be compared."""
    compared = rank([row for row in rows if row.competes], "pca_ratio")
    if not compared:
        return ""
    verdicts = [pca_verdict(row) for row in compared]
    counts = [f"{verdicts.count(name)} {name}" for name in (BETTER, WORSE, UNCLEAR, NO_INTERVAL) if name in verdicts]
    best = compared[0]
    return (
        f"Variants compared with PCA of the same size: {', '.join(counts)}. The best is {best.variant}, "
        f"{pca_difference(best)} PCA with {best['latent_dims']:,.0f} numbers."
    )
