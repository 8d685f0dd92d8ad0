"""comparison.png: the error of each row with its interval, on the common log-mel and on each input's own scale."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row, ranked
from pipeline.report.text import digits

ROW_INCHES = 0.3
CAPTION = (
    "Mean squared error with its 95 % interval, lowest first. Above, all rows on the common log-mel; below, those of "
    "one input on its own scale, which compare with one another alone. Hollow dots are baselines and ceilings; the "
    "dashed line is the mean predictor, an upright stroke PCA with as many components as the latent has numbers."
)


def draw(rows: list[Row]) -> Figure:
    """A panel for the common log-mel, where it is known, and one for each input."""
    common = ranked(rows, "mel_mse")
    panels: list[tuple[str, str, list[Row]]] = [("Common log-mel, all inputs", "mel_mse", common)] if common else []
    for representation, group in marks.by_input([row for row in rows if row.role != "ceiling"]).items():
        rest = [row for row in group if row["mse"] is None]
        panels.append((f"{representation}, own scale", "mse", ranked(group, "mse") + rest))
    heights = [len(group) + 1.9 for _, _, group in panels]
    picture = style.figure(8.4, 0.3 + ROW_INCHES * sum(heights))
    axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (title, metric, group) in zip(axes, panels, strict=True):
        _panel(ax, title, metric, group)
    axes[-1].set_xlabel("mean squared error, with its 95 % interval")
    return picture


def _panel(ax: Axes, title: str, metric: str, group: list[Row]) -> None:
    for y, row in enumerate(group):
        _mark(ax, y, row, metric)
    means = {row[f"{metric}_mean"] for row in group} - {None}
    for i, mean in enumerate(sorted(value for value in means if value is not None)):
        ax.axvline(mean, color=style.INK, linewidth=1, linestyle="--", label=None if i else "mean predictor", zorder=0)
    if metric == "mse" and any(row["mse_pca"] is not None for row in group):
        mark: dict[str, Any] = {"color": style.OKABE_ITO[1], "markersize": 9, "markeredgewidth": 1.8}
        ax.plot([], [], "|", label="PCA of the same size", **mark)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, ncols=2)
    ax.set_yticks(range(len(group)), [style.plain(row.variant, 34) for row in group])
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(group) - 0.4, -0.6)
    ax.set_xlim(left=0, right=1.2 * marks.largest(group, metric, f"{metric}_mean"))
    ax.grid(axis="x")
    ax.set_axisbelow(True)
    ax.set_title(style.plain(title))


def _mark(ax: Axes, y: int, row: Row, metric: str) -> None:
    """A dot, its interval and its value; or in words why there is none."""
    value = row[metric]
    if value is None:
        text = "no error" if row.evaluated else "not evaluated"
        ax.text(0, y, "  " + text, va="center", color=style.MUTED, fontstyle="italic")
        return
    marks.interval(ax, row, metric, y)
    if metric == "mse" and row["mse_pca"] is not None:
        ax.plot(row["mse_pca"], y, "|", color=style.OKABE_ITO[1], markersize=11, markeredgewidth=1.8)
    said = digits(value) + ("  collapsed" if row.collapsed else f"  {row.role}" if row.role != "variant" else "")
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # where the text crosses the reference line
    right = max(value, row[f"{metric}_high"] or 0.0)
    place: dict[str, Any] = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
    ax.annotate(said, (right, y), bbox=paper, color=style.MUTED, **place)
