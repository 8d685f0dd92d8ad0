"""Colours, line styles, intervals and ticks that the charts share."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.rcsetup import cycler
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.table import Row

# Colours and line styles of lines; they differ for up to 28.
LINES: list[dict[str, Any]] = [*(cycler(linestyle=["-", "--", "-.", ":"]) * cycler(color=style.OKABE_ITO))]
PANELS_PER_ROW = 2


def with_lines(rows: list[Row]) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Each row with its colour and line style, from `LINES`."""
    return zip(rows, cycle(LINES), strict=False)


def colour(row: Row) -> str:
    """The accent colour for a variant that can be the best, grey for all others."""
    return style.ACCENT if row.competes else style.REFERENCE


def add_legend(ax: Axes, rows: list[Row], others: Sequence[Line2D] = ()) -> None:
    """A legend to the right: `others` with their labels, then each row with its line style.

    Matplotlib's own choice of lines leaves out names that begin with "_".
    """
    lines = [*others, *(Line2D([], [], **line) for _, line in with_lines(rows))]
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
    figure = Figure(figsize=(0.4 + 5.2 * columns, 4.0 * rows))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[len(groups) :]:
        ax.set_visible(False)
    for ax, representation in zip(axes, groups, strict=False):
        ax.set_title(style.shorten(representation))
    return figure, axes[: len(groups)]


def point_name(row: Row) -> str:
    """The name of a row's points in the legend; all bit rates of a codec have one."""
    return row.variant.split()[0] if row.role == "codec" else row.variant


def point_styles(rows: list[Row]) -> dict[str, tuple[str, str]]:
    """(colour, marker) of each `point_name` of the comparison, the same in all charts."""
    return style.label_styles(point_name(row) for row in rows if row.role in ("variant", "codec", "external"))


def draw_errors(
    ax: Axes,
    group: list[Row],
    styles: dict[str, tuple[str, str]],
    x: str,
    y: str,
    x_limits: tuple[float, float],
    others: Iterable[float] = (),
) -> None:
    """The error `y` of each row over its metric `x`, with intervals, on logarithmic axes.

    The y axis holds the errors `others` too. The legend is to the right: the lines that `ax` has already, then the
    rows, in `point_styles`. Markers of rows that cannot be the best are hollow.
    """
    lines: list[Any] = [*ax.lines]
    names = [str(line.get_label()) for line in lines]
    for name in dict.fromkeys(map(point_name, group)):
        rows = [row for row in group if point_name(row) == name]
        color, marker = styles[name]
        lines.append(
            ax.errorbar(
                [row[x] or 0.0 for row in rows],
                [row[y] or 0.0 for row in rows],
                xerr=_deviations(rows, x),
                yerr=_deviations(rows, y),
                color=color,
                marker=marker,
                markersize=5.5,
                markerfacecolor=color if rows[0].competes else "white",
                elinewidth=1,
            )
        )
        names.append(style.shorten(name, 22))
    errors = [*others, *(value for row in group for end in ("", "_low", "_high") if (value := row[f"{y}{end}"]))]
    y_limits = min(errors) / 1.12, max(errors) * 1.12
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x_limits)
    ax.set_ylim(y_limits)
    for axis, (start, end) in ((ax.xaxis, x_limits), (ax.yaxis, y_limits)):
        use_plain_numbers(axis)
        if end > 5 * start:  # labels of all minor ticks would overlap
            axis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.tick_params(which="minor", labelsize=7)
    ax.grid(True, which="both")
    ax.set_axisbelow(True)
    ax.legend(lines, names, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _deviations(rows: list[Row], metric: str) -> list[list[float]]:
    """The intervals in matplotlib's form: the distances below and above each value."""
    values = [row[metric] or 0.0 for row in rows]
    return [
        [abs((row[f"{metric}{end}"] or value) - value) for row, value in zip(rows, values, strict=True)]
        for end in ("_low", "_high")
    ]
