"""What the pictures across variants share: a colour and a marker for each, and values with their intervals."""

from typing import Any

from matplotlib.axes import Axes

from pipeline.figures import style
from pipeline.report.table import Row


def by_input(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each representation, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.representation, []).append(row)
    return groups


def colours(rows: list[Row]) -> dict[str, tuple[str, str]]:
    """(colour, line style) of each variant: the pair is its own up to 28 variants of one input."""
    lines = ["-", "--", "-.", ":"]
    palette = style.OKABE_ITO
    return {
        row.variant: (palette[i % len(palette)], lines[i // len(palette) % len(lines)]) for i, row in enumerate(rows)
    }


def colour(row: Row) -> str:
    """Of a row among others: what competes stands out."""
    return style.ACCENT if row.competes else style.REFERENCE


def interval(ax: Axes, row: Row, metric: str, y: float, color: str | None = None) -> None:
    """A dot and its interval at height `y`; nothing where the row has no such value."""
    value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
    if value is None:
        return
    color = color or colour(row)
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 1.4} if row.role != "variant" else {}
    ax.plot(value, y, "o", color=color, markersize=6, **hollow)


def plain_number(value: float, _: object) -> str:
    """A tick of a logarithmic axis without powers: 0.005, 20, 1,000."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def largest(rows: list[Row], *metrics: str) -> float:
    """The largest value of any of the metrics, 1 where there is none."""
    values = [row[name] for row in rows for metric in metrics for name in (metric, f"{metric}_high")]
    return max((value for value in values if value is not None), default=1.0) or 1.0
