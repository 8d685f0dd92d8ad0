"""cosine.png: how the cosine similarity is spread over the test windows, one small panel for each variant."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row

COLUMNS = 5
BINS = 25
CAPTION = (
    "Histograms of the cosine similarity of test windows and their reconstructions, on one axis for all: a share of "
    "the windows in each bin. The line is the median; what lies below the axis is counted at its end."
)


def draw(rows: list[Row], windows: dict[str, pd.DataFrame]) -> Figure | None:
    """A panel for each variant with windows, on the common log-mel; its own scale where no variant has that."""
    names = ("mel_cosine_similarity", "cosine_similarity")
    metric = next((name for name in names if any(name in table for table in windows.values())), "")
    found = [(row, windows[row.variant][metric].dropna()) for row in rows if metric in windows.get(row.variant, ())]
    shown = [(row, values.to_numpy()) for row, values in found if len(values)]
    if not shown:
        return None
    low = max(-1.0, float(np.floor(20 * np.percentile(np.concatenate([values for _, values in shown]), 1)) / 20))
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    width, height = 0.7 + 1.9 * columns, 0.8 + 1.2 * lines
    picture = style.figure(width, height)
    picture.set_layout_engine("none")  # it would measure every panel's labels, twice
    room = {"left": 0.6 / width, "right": 1 - 0.15 / width, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
    grid = picture.subplots(
        lines, columns, sharex=True, sharey=True, squeeze=False, gridspec_kw={**room, "wspace": 0.16, "hspace": 0.42}
    )
    for ax, (row, values) in zip(grid.flat, shown, strict=False):
        counts, edges = np.histogram(np.clip(values, low, 1), BINS, (low, 1))
        ax.stairs(100 * counts / len(values), edges, fill=True, color=marks.colour(row))
        ax.axvline(float(np.median(values)), color=style.INK, linewidth=1)
        ax.set_title(style.plain(row.variant, 22), fontsize=8.5)
        ax.locator_params(axis="x", nbins=4)
    for number, ax in enumerate(grid.flat):
        if number >= len(shown):
            ax.set_axis_off()
        elif number >= len(shown) - columns:
            ax.tick_params(labelbottom=True)
    space = {"fontsize": 8.5, "color": style.MUTED}
    scale = "on the common log-mel" if metric.startswith("mel") else "on the input's own scale"
    picture.supxlabel(f"cosine similarity {scale}", y=0.08 / height, **space)
    picture.supylabel("% of the windows", x=0.08 / width, **space)
    return picture
