"""latent_size.png: the error of PCA for every number of components, and of each variant at the size of its latent."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.pca import find_baselines
from pipeline.report.table import Row, by_input

CAPTION = (
    "Error on the input's own scale over the numbers in the latent, with 95 % intervals, on logarithmic axes. The "
    "curve is PCA with as many components: a variant below it is better than PCA of its size. The chart has only "
    "variants that can be compared with PCA."
)
MIN_RANGE = 4.0  # how far the size axis goes beyond the smallest and largest latent, as a factor


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input with PCA and a variant to compare; None without one."""
    baselines = find_baselines(rows)
    groups = by_input([row for row in rows if row["pca_ratio"] is not None])
    if not groups:
        return None
    figure = style.figure(0.4 + 5.2 * len(groups), 4.0)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, (representation, group) in zip(panels, groups.items(), strict=True):
        _draw_panel(ax, representation, group, baselines[representation][1])
    return figure


def _draw_panel(ax: Axes, representation: str, group: list[Row], sizes: pd.DataFrame) -> None:
    latents = [row["latent_dims"] or 1.0 for row in group]
    first, last = min(latents) / MIN_RANGE, max(latents) * MIN_RANGE
    curve = sizes[(sizes["latent"] >= max(first, 1)) & (sizes["latent"] <= last)]
    color = style.OKABE_ITO[1]
    ax.fill_between(curve["latent"], curve["mse_low"], curve["mse_high"], color=color, alpha=0.15, linewidth=0)
    ax.plot(curve["latent"], curve["mse"], color=color, label="PCA")
    for row in group:
        ax.errorbar(row["latent_dims"] or 1.0, row["mse"] or 0.0, yerr=marks.deviations(row, "mse"),
                    fmt="o", color=marks.colour(row), markersize=5.5, elinewidth=1)  # fmt: skip
    values = [value for row in group for value in (row["mse"], row["mse_low"], row["mse_high"]) if value]
    low, high = min([*values, *curve["mse"]]) / 1.12, max([*values, *curve["mse"]]) * 1.12
    marks.use_log_axes(ax, (max(first, 1), last), (low, high))
    ax.set_xlabel("numbers in the latent")
    ax.set_title(style.shorten(representation))
    ax.legend(loc="lower left")
    marks.write_names(ax, group, "latent_dims", low, high)
