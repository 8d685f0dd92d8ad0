"""The figure of a study: error, KL, label accuracy and perplexity of each experiment."""

from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts.marks import plain_number
from pipeline.report.formatting import digits
from pipeline.studies.results import Row, format_setting, is_common_scale

PANELS = {
    "mse": "MSE, own scale",
    "mel_mse": "MSE, common log-mel",
    "kl": "KL, nats",
    "probe_accuracy": "Label accuracy",
    "perplexity": "Codes in use (perplexity)",
}
MIN_CURVE_VALUES = 3  # a number with fewer values makes no curve
MIN_LOG_RATIO = 8.0  # ratio of the largest to the smallest value; below it, the x axis is linear
MAX_TICKS = 8
DPI = 130


def draw(rows: list[Row], path: Path) -> None:
    """Write a PNG of the trained variants; write nothing if there is none."""
    if trained := [row for row in rows if row.is_trained]:
        key = _curve_key(trained)
        with style.paper_style():
            style.save(_draw_curves(trained, key) if key else _draw_dots(trained), path, DPI)


def _curve_key(rows: list[Row]) -> str | None:
    """The setting for the x axis: the only number with enough values."""
    varied = {key for row in rows for key in row.settings if len(_values(rows, key)) > 1}
    numbers = [key for key in varied if all(isinstance(value, int | float) for value in _values(rows, key))]
    keys = [key for key in numbers if len(_values(rows, key)) >= MIN_CURVE_VALUES]
    return keys[0] if len(keys) == 1 else None


def _values(rows: list[Row], key: str) -> list[Any]:
    """The distinct values of a setting, in their order."""
    return list({repr(row.settings[key]): row.settings[key] for row in rows if row.settings[key] is not None}.values())


def _panels(rows: list[Row]) -> dict[str, str]:
    """The metrics that some row has; the own scale only if it differs from the common one."""
    panels = {metric: title for metric, title in PANELS.items() if any(row.metrics[metric] is not None for row in rows)}
    if is_common_scale(rows):
        del panels["mse"]
    return panels


def _colour_key(rows: list[Row]) -> str | None:
    """The setting that splits the rows most evenly."""
    varied = [key for key in rows[0].settings if 1 < len(_values(rows, key)) < len(rows)]
    return min(varied, key=lambda key: max(Counter(repr(row.settings[key]) for row in rows).values()), default=None)


def _draw_curves(rows: list[Row], key: str) -> Figure:
    """The setting `key` along x, and a line for each variant with equal other settings."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row.settings[key] is not None:
            others = [
                f"{k} {format_setting(v)}" for k, v in row.settings.items() if k != key and len(_values(rows, k)) > 1
            ]
            lines.setdefault(", ".join([row.variant, *others]), []).append(row)
    panels = _panels(rows)
    figure = style.figure(0.4 + 2.7 * len(panels), 2.7 + 0.2 * ((len(lines) - 1) // 2))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    ticks = sorted(set(_values(rows, key)))
    for ax, (metric, title) in zip(axes, panels.items(), strict=True):
        for i, (name, line) in enumerate(lines.items()):
            points = [row for row in line if row.metrics[metric] is not None]
            points.sort(key=lambda row: float(row.settings[key]))
            _draw_line(ax, points, key, metric, name, i)
        if min(ticks) > 0 and max(ticks) / min(ticks) >= MIN_LOG_RATIO:
            ax.set_xscale("log")
            ax.minorticks_off()
        step = -(-len(ticks) // MAX_TICKS)
        ax.set_xticks(ticks[::step], [plain_number(value, None) for value in ticks[::step]])
        ax.set_ylim(0, 1.06 * ax.dataLim.y1)
        ax.set_title(title)
        ax.set_xlabel(style.shorten(key))
        ax.grid(True)
    _add_legend(figure, axes[0], any(row.collapsed for row in rows))
    return figure


def _draw_line(ax: Axes, rows: list[Row], key: str, metric: str, name: str, number: int) -> None:
    """A line with its intervals as a band; hollow markers where the variant has collapsed."""
    color, marker = style.OKABE_ITO[number % len(style.OKABE_ITO)], style.MARKERS[number % len(style.MARKERS)]
    x = [row.settings[key] for row in rows]
    values: list[Any] = [row.metrics[metric] for row in rows]
    low, high = ([_bound(row, metric, end) for row in rows] for end in ("low", "high"))
    ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    ax.plot(x, values, marker=marker, markersize=4.5, color=color, label=style.shorten(name, 40))
    for row, value in zip(rows, values, strict=True):
        if row.collapsed:
            ax.plot(row.settings[key], value, marker, markersize=4.5, color=color, mfc="white")


def _bound(row: Row, metric: str, end: str) -> Any:
    """A bound of the interval, or the value if it has no interval."""
    bound = row.metrics.get(f"{metric}_{end}")
    return row.metrics[metric] if bound is None else bound


def _draw_dots(rows: list[Row]) -> Figure:
    """A dot for each row, in the colour of its variant, or of the setting that splits the rows most evenly."""
    key = None if len({row.variant for row in rows}) > 1 else _colour_key(rows)
    groups = [f"{key} {format_setting(row.settings[key])}" if key else row.variant for row in rows]
    colors = dict(zip(dict.fromkeys(groups), style.OKABE_ITO * len(groups), strict=False))
    panels = _panels(rows)
    figure = style.figure(1.6 + 2.5 * len(panels), 1.2 + 0.27 * len(rows))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (metric, title) in zip(axes, panels.items(), strict=True):
        for y, (row, group) in enumerate(zip(rows, groups, strict=True)):
            _draw_dot(ax, row, metric, y, colors[group])
        ax.set_title(title)
        ax.set_xlim(left=0)
        ax.margins(x=0.15)
        ax.grid(axis="x")
        ax.locator_params(axis="x", nbins=4)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    axes[0].set_yticks(range(len(rows)), [style.shorten(row.name, 34) for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.7)
    for group, color in colors.items() if len(colors) > 1 else ():
        axes[0].plot([], [], "o", color=color, label=style.shorten(group, 40))
    _add_legend(figure, axes[0], any(row.collapsed for row in rows))
    return figure


def _draw_dot(ax: Axes, row: Row, metric: str, y: int, color: str) -> None:
    """A value with its interval and number; hollow if the variant has collapsed."""
    value, low, high = (row.metrics.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(value, y, "o", color=color, markersize=6, markerfacecolor="white" if row.collapsed else color)
    ax.annotate(digits(value), (value, y), (0, 5), textcoords="offset points", ha="center", fontsize=7,
                color=style.MUTED)  # fmt: skip


def _add_legend(figure: Figure, ax: Axes, has_collapsed: bool) -> None:
    if has_collapsed:
        ax.plot([], [], "o", color=style.MUTED, markerfacecolor="white", label="hollow: collapsed")
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) > 1 or has_collapsed:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(handles)))
