"""Colours, line styles, intervals and ticks that the charts share."""

from collections.abc import Iterable, Sequence
from math import log
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.table import Row

LineStyle = Literal["-", "--", "-.", ":"]
LINES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")
PANELS_PER_ROW = 2
NAME_SPACING = 0.052  # between the names beside a panel, as a share of its height


def line_styles(rows: list[Row]) -> list[tuple[str, LineStyle]]:
    """(colour, line style) of each row; the pairs differ for up to 28 rows."""
    colours = style.OKABE_ITO
    return [(colours[i % len(colours)], LINES[i // len(colours) % len(LINES)]) for i in range(len(rows))]


def colour(row: Row) -> str:
    """The accent colour for a variant that can be the best, grey for all others."""
    return style.ACCENT if row.competes else style.REFERENCE


def add_legend(ax: Axes, rows: list[Row], others: Sequence[Line2D] = ()) -> None:
    """A legend to the right: `others` with their labels, then each row with its line style.

    Matplotlib's own choice of lines leaves out names that begin with "_".
    """
    lines = [*others, *(Line2D([], [], color=color, linestyle=line) for color, line in line_styles(rows))]
    names = [*(str(line.get_label()) for line in others), *(style.shorten(row.variant, 22) for row in rows)]
    ax.legend(lines, names, loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_interval(ax: Axes, row: Row, metric: str, y: float, color: str | None = None) -> None:
    """A value as a dot at height `y` and its interval as a line; nothing for a missing value."""
    value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
    if value is None:
        return
    color = color or colour(row)
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.4} if row.role != "variant" else {}
    ax.plot(value, y, "o", color=color, markersize=6, **hollow)


def plain_number(value: float, _: object) -> str:
    """The tick label of a logarithmic axis, without powers: 0.005, 20, 1,000."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def use_plain_numbers(axis: Axis) -> None:
    """Label all ticks of a logarithmic axis with plain numbers."""
    axis.set_major_formatter(plain_number)
    axis.set_minor_formatter(plain_number)


def input_panels(groups: dict[str, list[Row]]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each input, at most `PANELS_PER_ROW` side by side."""
    columns = min(len(groups), PANELS_PER_ROW)
    rows = -(-len(groups) // columns)
    figure = style.figure(0.4 + 5.2 * columns, 4.0 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[len(groups) :]:
        ax.set_visible(False)
    for ax, representation in zip(axes, groups, strict=False):
        ax.set_title(style.shorten(representation))
    return figure, axes[: len(groups)]


def draw_errors(
    ax: Axes, group: list[Row], x: str, y: str, x_limits: tuple[float, float], others: Iterable[float]
) -> None:
    """The error `y` of each row over its metric `x`, with intervals and names, on logarithmic axes.

    The y axis holds the errors `others` too.
    """
    for row in group:
        ax.errorbar(row[x] or 0.0, row[y] or 0.0, xerr=_deviations(row, x), yerr=_deviations(row, y),
                    fmt="o", color=colour(row), markersize=5.5, elinewidth=1)  # fmt: skip
    errors = [*others, *(value for row in group for end in ("", "_low", "_high") if (value := row[f"{y}{end}"]))]
    low, high = min(errors) / 1.12, max(errors) * 1.12
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x_limits)
    ax.set_ylim(low, high)
    for axis, (start, end) in ((ax.xaxis, x_limits), (ax.yaxis, (low, high))):
        use_plain_numbers(axis)
        if end > 5 * start:  # labels of all minor ticks would overlap
            axis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.tick_params(which="minor", labelsize=7)
    ax.grid(True, which="both")
    ax.set_axisbelow(True)
    _write_names(ax, group, x, y, low, high)


def _deviations(row: Row, metric: str) -> list[list[float]]:
    """The interval in matplotlib's form: the distances below and above the value."""
    value = row[metric] or 0.0
    low, high = row[f"{metric}_low"] or value, row[f"{metric}_high"] or value
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _write_names(ax: Axes, group: list[Row], x: str, y: str, low: float, high: float) -> None:
    """Write the names to the right of the panel without overlap, each with a thin line to its dot at (x, y).

    The logarithmic y axis goes from `low` to `high`.
    """
    ordered = sorted(group, key=lambda row: row[y] or 0.0)
    heights: list[float] = []
    for row in ordered:
        height = log((row[y] or low) / low) / log(high / low)
        heights.append(max(height, heights[-1] + NAME_SPACING) if heights else height)
    if heights[-1] > 1:  # push the names down into the panel
        heights = [min(height, 1 - NAME_SPACING * i) for i, height in enumerate(reversed(heights))][::-1]
    for row, height in zip(ordered, heights, strict=True):
        ax.annotate(
            style.shorten(row.variant, 22),
            (row[x], row[y]),
            (1.03, height),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=style.INK,
            arrowprops={"arrowstyle": "-", "color": style.REFERENCE, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )
