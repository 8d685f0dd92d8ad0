"""Usage of the latent: KL of each dimension, or count of each code."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.grid import FigureGrid


def draw_dimension_kl(dimensions: pd.DataFrame) -> Figure:
    """The KL of each latent dimension, sorted, with active ones highlighted; a plot for each level.

    Args:
        dimensions: dimensions.parquet of one seed.
    """
    levels = sorted(set(dimensions["level"]))
    widths = [7.0 if len(levels) == 1 else 4.6] * len(levels)
    grid = FigureGrid(widths, [2.7], left=0.7, column_gaps=0.75, bottom=0.5)
    for number, level in enumerate(levels):
        rows = dimensions[dimensions["level"] == level].sort_values("kl", ascending=False, kind="stable")
        nats, active = rows["kl"].to_numpy(float), rows["active"].to_numpy(bool)
        edges = np.arange(len(nats) + 1) + 0.5
        ax = grid.axes(0, number)
        top = max(1.08 * nats.max(initial=0), 1e-3)
        if not active.all():
            ax.stairs(np.where(active, 0.0, top), edges, fill=True, color=style.GRID, label="not active")
            ax.stairs(np.where(active, 0.0, nats), edges, fill=True, color=style.MUTED)
        if active.any():
            ax.stairs(np.where(active, nats, 0.0), edges, fill=True, color=style.ACCENT, label="active")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(0, top)
        ax.set_title(f"{level or 'latent'}: {active.sum()} of {len(nats)} dimensions active, {nats.sum():.4g} nats")
        ax.set_xlabel("latent dimension, by its KL")
        ax.set_ylabel("KL in nats" if number == 0 else "")
        ax.legend(loc="upper right")
    return grid.figure


def draw_code_counts(codes: pd.DataFrame, perplexity: float | None) -> Figure:
    """The share of each code, sorted, with lines for a uniform usage of all codes and of `perplexity` codes.

    Args:
        codes: codes.parquet of one seed.
        perplexity: of the codebook.
    """
    counts = np.sort(codes["count"].to_numpy(float))[::-1]
    shares = counts / max(1.0, counts.sum())
    grid = FigureGrid([7.0], [2.7], left=0.75, bottom=0.5)
    ax = grid.axes(0, 0)
    edges = np.arange(len(shares) + 1) + 0.5
    ax.stairs(100 * shares, edges, fill=True, color=style.ACCENT)
    ax.axhline(100 / len(shares), color=style.INK, linewidth=1, linestyle="--", label="even use of all codes")
    if perplexity:
        x, y = perplexity + 0.5, 100 / perplexity
        ax.plot([0.5, x], [y, y], color=style.ERROR, linewidth=1.4, label=f"perplexity {perplexity:.3g}")
        ax.plot([x, x], [0, y], color=style.ERROR, linewidth=1.4)
    ax.set_xlim(0.5, len(shares) + 0.5)
    ax.set_ylim(bottom=0)
    ax.set_title(f"{int((counts > 0).sum())} of {len(shares)} codes used")
    ax.set_xlabel("code, by its use")
    ax.set_ylabel("% of all choices")
    ax.legend(loc="upper right")
    return grid.figure
