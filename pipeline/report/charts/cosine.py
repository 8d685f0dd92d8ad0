"""cosine.png: a histogram of the cosine similarity of the test windows for each variant."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row

MAX_COLUMNS = 5
BINS = 25
CAPTION = (
    "Histograms of the cosine similarity between test windows and their reconstructions, in per cent of the windows. "
    "All panels share one axis. The line is the median. The first bin also counts all lower values."
)


def draw(rows: list[Row], windows: dict[str, pd.DataFrame]) -> Figure | None:
    """A panel for each variant with windows, on the common log-mel, or else on its own scale."""
    names = ("mel_cosine_similarity", "cosine_similarity")
    metric = next((name for name in names if any(name in table for table in windows.values())), "")
    shown = [row for row in rows if metric in windows.get(row.variant, ())]
    similarities = [(row, windows[row.variant][metric].dropna().to_numpy()) for row in shown]
    panels = [(row, similarity) for row, similarity in similarities if len(similarity)]
    if not panels:
        return None
    first_percentile = np.percentile(np.concatenate([similarity for _, similarity in panels]), 1)
    low = max(-1.0, float(np.floor(20 * first_percentile) / 20))
    columns = min(MAX_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(0.7 + 1.9 * columns, 0.8 + 1.2 * lines))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for ax, (row, similarity) in zip(grid.flat, panels, strict=False):
        counts, edges = np.histogram(np.clip(similarity, low, 1), BINS, (low, 1))
        ax.stairs(100 * counts / len(similarity), edges, fill=True, color=marks.colour(row))
        ax.axvline(float(np.median(similarity)), color=style.INK, linewidth=1)
        ax.set_title(style.shorten(row.variant, 22), fontsize=8.5)
        ax.locator_params(axis="x", nbins=4)
    for number, ax in enumerate(grid.flat):
        if number >= len(panels):
            ax.set_axis_off()
        elif number >= len(panels) - columns:
            ax.tick_params(labelbottom=True)
    font = {"fontsize": 8.5, "color": style.MUTED}
    scale = "on the common log-mel" if metric.startswith("mel") else "on the input's own scale"
    figure.supxlabel(f"cosine similarity {scale}", **font)
    figure.supylabel("% of the windows", **font)
    return figure
