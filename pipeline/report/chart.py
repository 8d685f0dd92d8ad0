"""comparison.png: the error of each variant with its interval, beside the mean predictor's."""

from pathlib import Path

from matplotlib.axes import Axes

from pipeline.figures import style
from pipeline.report.table import Row, digits

ROW_INCHES = 0.42


def draw(rows: list[Row], path: Path, dpi: int) -> None:
    """Write a PNG with one panel per representation, since MSE on different inputs does not share a scale."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.representation, []).append(row)
    with style.look():
        heights = [len(group) + 1.6 for group in groups.values()]
        picture = style.figure(8, 0.3 + ROW_INCHES * sum(heights))
        panels = picture.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (representation, group) in zip(panels, groups.items(), strict=True):
            for y, row in enumerate(group):
                _mark(ax, y, row)
            means = {row["mse_mean"] for row in group if row["mse_mean"] is not None}
            for i, mean in enumerate(sorted(means)):
                ax.axvline(mean, color=style.INK, linewidth=1, linestyle="--", label=None if i else "mean predictor")
            if any(row["mse_pca"] is not None for row in group):
                mark = {"color": style.OKABE_ITO[1], "markersize": 9, "markeredgewidth": 1.8}
                ax.plot([], [], "|", label="PCA of the same size", **mark)
            if means:
                ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
            ax.set_yticks(range(len(group)), [style.plain(row.variant, 28) for row in group])
            ax.tick_params(axis="y", length=0, labelcolor=style.INK)
            ax.spines["left"].set_visible(False)
            ax.set_ylim(len(group) - 0.4, -0.6)
            ax.set_xlim(left=0, right=1.18 * _largest(group))
            ax.grid(axis="x")
            ax.set_axisbelow(True)
            ax.set_title(style.plain(representation))
        panels[-1].set_xlabel("mean squared error on the input's own scale, with its 95 % interval")
        style.save(picture, path, dpi)


def _mark(ax: Axes, y: int, row: Row) -> None:
    """A dot, its interval and its value; or in words why there is none."""
    mse, low, high = row["mse"], row["mse_low"], row["mse_high"]
    if mse is None:
        text = "no MSE" if row.evaluated else "not evaluated"
        ax.text(0, y, "  " + text, va="center", color=style.MUTED, fontstyle="italic")
        return
    color = style.REFERENCE if row.collapsed or row.baseline else style.ACCENT
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(mse, y, "o", color=color, markersize=6)
    text = digits(mse) + ("  collapsed" if row.collapsed else "  baseline" if row.baseline else "")
    if row["mse_pca"] is not None:
        ax.plot(row["mse_pca"], y, "|", color=style.OKABE_ITO[1], markersize=11, markeredgewidth=1.8)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # where the text crosses the reference line
    ax.annotate(
        text,
        (max(mse, high or 0.0), y),
        (9, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        bbox=paper,
        color=style.MUTED,
    )


def _largest(group: list[Row]) -> float:
    values = [row[name] for row in group for name in ("mse", "mse_high", "mse_mean")]
    return max((value for value in values if value is not None), default=1.0) or 1.0
