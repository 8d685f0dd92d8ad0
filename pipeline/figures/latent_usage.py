"""What of a latent is used: the KL of each dimension, or how often each code is chosen."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.figures.grid import Sheet


def dimensions(table: pd.DataFrame) -> Figure:
    """The KL of each latent dimension, sorted, the active ones apart from the others; a panel for each level.

    Args:
        table: the rows of dimensions.parquet of one seed.
    """
    levels = sorted(set(table["level"]))
    sheet = Sheet([7.0 if len(levels) == 1 else 4.6] * len(levels), [2.7], left=0.7, across=0.75, bottom=0.5)
    for number, level in enumerate(levels):
        mine = table[table["level"] == level].sort_values("kl", ascending=False, kind="stable")
        nats, active = mine["kl"].to_numpy(float), mine["active"].to_numpy(bool)
        edges = np.arange(len(nats) + 1) + 0.5
        ax = sheet.axes(0, number)
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
    return sheet.picture


def codes(table: pd.DataFrame, perplexity: float | None) -> Figure:
    """How often each code was chosen, sorted, beside an even use of all and of as many as the perplexity says.

    Args:
        table: the rows of codes.parquet of one seed.
        perplexity: of the codebook's use.
    """
    counts = np.sort(table["count"].to_numpy(float))[::-1]
    shares = counts / max(1.0, counts.sum())
    used = int((counts > 0).sum())
    sheet = Sheet([7.0], [2.7], left=0.75, bottom=0.5)
    ax = sheet.axes(0, 0)
    edges = np.arange(len(shares) + 1) + 0.5
    ax.stairs(100 * shares, edges, fill=True, color=style.ACCENT)
    ax.axhline(100 / len(shares), color=style.INK, linewidth=1, linestyle="--", label="even use of all codes")
    if perplexity:
        even: dict[str, Any] = {"color": style.ERROR, "linewidth": 1.4}
        ax.plot([0.5, perplexity + 0.5], [100 / perplexity] * 2, **even, label=f"perplexity {perplexity:.3g}")
        ax.plot([perplexity + 0.5] * 2, [0, 100 / perplexity], **even)
    ax.set_xlim(0.5, len(shares) + 0.5)
    ax.set_ylim(bottom=0)
    ax.set_title(f"{used} of {len(shares)} codes used")
    ax.set_xlabel("code, by its use")
    ax.set_ylabel("% of all choices")
    ax.legend(loc="upper right")
    return sheet.picture
