"""comparison.png: the error of each row with its interval, on the common log-mel and on each input's own scale."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.formatting import digits
from pipeline.report.table import Row, by_input, rank

INCHES_PER_ROW = 0.3
CAPTION = (
    "Mean squared error with its 95 % interval, lowest first. The first panel shows all rows on the common log-mel; "
    "each other panel shows one input on its own scale and cannot be compared with the others. Hollow dots are "
    "no variants; the error of a PCA baseline is that of all its components. The dashed line is the mean "
    "predictor. A vertical stroke is PCA with as many numbers as the latent: a variant is better if its dot is left of "
    "it."
)


def draw(rows: list[Row]) -> Figure:
    """A panel for the common log-mel, if a row has it, and one for each input."""
    common = rank(rows, "mel_mse")
    panels: list[tuple[str, str, list[Row]]] = [("Common log-mel, all inputs", "mel_mse", common)] if common else []
    for representation, group in by_input([row for row in rows if row.is_model]).items():
        unscored = [row for row in group if row["mse"] is None]
        panels.append((f"{representation}, own scale", "mse", rank(group, "mse") + unscored))
    heights = [len(group) + 1.9 for _, _, group in panels]
    figure = Figure(figsize=(8.4, 0.3 + INCHES_PER_ROW * sum(heights)))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (title, metric, group) in zip(axes, panels, strict=True):
        _draw_panel(ax, title, metric, group)
    axes[-1].set_xlabel("mean squared error, with its 95 % interval")
    return figure


def _draw_panel(ax: Axes, title: str, metric: str, group: list[Row]) -> None:
    for y, row in enumerate(group):
        _draw_row(ax, y, row, metric)
    means = {mean for row in group if (mean := row[f"{metric}_mean"]) is not None}
    for i, mean in enumerate(sorted(means)):
        ax.axvline(mean, color=style.INK, linewidth=1, linestyle="--", label=None if i else "mean predictor", zorder=0)
    if metric == "mse" and any(row["mse_pca"] is not None for row in group):
        mark: dict[str, Any] = {"color": style.OKABE_ITO[1], "markersize": 9, "markeredgewidth": 1.8}
        ax.plot([], [], "|", label="PCA of the same size", **mark)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, ncols=2)
    ax.set_yticks(range(len(group)), [style.shorten(row.variant, 34) for row in group])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(group) - 0.4, -0.6)
    values = [row[f"{metric}{end}"] or 0.0 for row in group for end in ("", "_high", "_mean")]
    ax.set_xlim(left=0, right=1.2 * (max(values, default=0.0) or 1.0))
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.set_title(style.shorten(title))


def _draw_row(ax: Axes, y: int, row: Row, metric: str) -> None:
    value = row[metric]
    if value is None:
        text = "no error" if row.evaluated else "not evaluated"
        ax.text(0, y, "  " + text, va="center", color=style.MUTED, fontstyle="italic")
        return
    marks.draw_interval(ax, row, metric, y)
    if metric == "mse" and row["mse_pca"] is not None:
        ax.plot(row["mse_pca"], y, "|", color=style.OKABE_ITO[1], markersize=11, markeredgewidth=1.8)
    flag = "collapsed" if row.collapsed else "" if row.role == "variant" else row.role
    flag += f" of {row['latent_dims']:,.0f} numbers" if row.role == "baseline" and row["latent_dims"] else ""
    text = f"{digits(value)}  {flag}".rstrip()
    background = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # for text that crosses the mean's line
    right = max(value, row[f"{metric}_high"] or 0.0)
    position: dict[str, Any] = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
    ax.annotate(text, (right, y), bbox=background, color=style.MUTED, **position)
