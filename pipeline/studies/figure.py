"""The figure of a study: error, KL, label accuracy and perplexity of each experiment."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.charts.marks import plain_number, use_plain_numbers
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
    if trained := [row for row in rows if not row.metrics["baseline"]]:
        texts = [text for row in trained for text in (row.name, *map(format_setting, row.settings.values()))]
        with style.paper_style(texts):
            style.save(draw_figure(trained), path, DPI)


def draw_rates(rows: list[Row], path: Path) -> None:
    """Write the PNG of `rates_figure`; write nothing if there is none."""
    with style.paper_style([row.name for row in rows]):
        if figure := rates_figure(rows):
            style.save(figure, path, DPI)


def rates_figure(rows: list[Row]) -> Figure | None:
    """The error of a draw over the bit rate: a panel for each scale, a curve for each family; None without a family.

    A family is a variant with equal settings but for the number on the curve.
    """
    rated = [row for row in rows if row.metrics.get("kbps") and row.metrics.get("mse_draw")]
    scales = list({repr(row.scale): row.scale for row in rated}.values())
    panels = [panel for scale in scales if _families(panel := [row for row in rated if row.scale == scale])]
    if not panels:
        return None
    figure = Figure(figsize=(5.0 * len(panels), 4.0))
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_rates(ax, panel)
    return figure


def _families(rows: list[Row]) -> dict[str, list[Row]]:
    key = _curve_key(rows)
    return _group(rows, key) if key else {}


def _draw_rates(ax: Axes, rows: list[Row]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for i, (name, family) in enumerate(_families(rows).items()):
        color, marker = style.OKABE_ITO[i % len(style.OKABE_ITO)], style.MARKERS[i % len(style.MARKERS)]
        points = sorted((row.metrics["kbps"], row.metrics["mse_draw"]) for row in family)
        ax.plot(*zip(*points, strict=True), marker=marker, markersize=4.5, color=color, label=style.shorten(name, 40))
    limits = ax.get_xlim(), ax.get_ylim()
    if bound := next((row.bound for row in rows if row.bound), None):
        ax.plot(*bound, color=style.INK, linewidth=1, linestyle="--", label="least rate of a Gaussian source")
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    for axis, (low, high) in zip((ax.xaxis, ax.yaxis), limits, strict=True):
        use_plain_numbers(axis)
        if high > 5 * low:  # labels of all minor ticks would overlap
            axis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.set_xlabel("kbit/s")
    ax.set_ylabel("mean squared error of a draw")
    ax.grid(True, which="both")
    ax.legend(fontsize=7.5)


def draw_figure(rows: list[Row]) -> Figure:
    """Curves over the only number with enough values, else a dot for each row."""
    key = _curve_key(rows)
    groups = _group(rows, key)
    metrics = [metric for metric in PANELS if any(row.metrics[metric] is not None for row in rows)]
    if is_common_scale(rows):
        metrics.remove("mse")
    width, height = (3.1, 2.7 + 0.2 * ((len(groups) - 1) // 2)) if key else (4.1, 1.2 + 0.27 * len(rows))
    figure = Figure(figsize=(width + (2.7 if key else 2.5) * (len(metrics) - 1), height))
    axes = figure.subplots(1, len(metrics), squeeze=False, sharey=not key)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        ax.set_title(PANELS[metric])
        if key:
            _draw_curves(ax, groups, metric, key)
        else:
            _draw_dots(ax, groups, metric, rows)
    if any(row.metrics["collapsed"] for row in rows):
        axes[0].plot([], [], "o", color=style.MUTED, markerfacecolor="white", label="hollow: collapsed")
    # Matplotlib's own choice would leave out a variant whose name begins with "_".
    handles = [line for line in axes[0].lines if not str(line.get_label()).startswith("_child")]
    labels = [str(line.get_label()) for line in handles]
    if len(handles) > 1 or "hollow: collapsed" in labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _curve_key(rows: list[Row]) -> str | None:
    """The setting for the x axis; None if two rows of a curve would have the same value of it."""
    numbers = [key for key in rows[0].settings if all(isinstance(value, int | float) for value in _values(rows, key))]
    keys = [key for key in numbers if len(_values(rows, key)) >= MIN_CURVE_VALUES]
    if len(keys) != 1:
        return None
    curves = _group(rows, keys[0]).values()
    return keys[0] if all(len(_values(curve, keys[0])) == len(curve) for curve in curves) else None


def _values(rows: list[Row], key: str) -> list[Any]:
    """The distinct values of a setting, in their order."""
    return list({repr(row.settings[key]): row.settings[key] for row in rows if row.settings[key] is not None}.values())


def _group(rows: list[Row], curve_key: str | None) -> dict[str, list[Row]]:
    """Name in the legend -> rows: curves of a variant with equal other settings; dots of a variant."""
    keys = [key for key in rows[0].settings if curve_key not in (None, key) and len(_values(rows, key)) > 1]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if not curve_key or row.settings[curve_key] is not None:
            settings = [f"{key} {format_setting(row.settings[key])}" for key in keys]
            groups.setdefault(", ".join([row.variant, *settings]), []).append(row)
    return groups


def _draw_curves(ax: Axes, groups: dict[str, list[Row]], metric: str, key: str) -> None:
    """A line for each group, with its intervals as a band; hollow markers where the variant has collapsed."""
    for i, (name, rows) in enumerate(groups.items()):
        color, marker = style.OKABE_ITO[i % len(style.OKABE_ITO)], style.MARKERS[i % len(style.MARKERS)]
        points = [row for row in rows if row.metrics[metric] is not None]
        points.sort(key=lambda row: float(row.settings[key]))
        x = [row.settings[key] for row in points]
        values: list[Any] = [row.metrics[metric] for row in points]
        low, high = ([_bound(row, metric, end) for row in points] for end in ("low", "high"))
        ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        ax.plot(x, values, marker=marker, markersize=4.5, color=color, label=style.shorten(name, 40))
        for row, value in zip(points, values, strict=True):
            if row.metrics["collapsed"]:
                ax.plot(row.settings[key], value, marker, markersize=4.5, color=color, mfc="white")
    ticks = sorted({row.settings[key] for rows in groups.values() for row in rows})
    if min(ticks) > 0 and max(ticks) / min(ticks) >= MIN_LOG_RATIO:
        ax.set_xscale("log")
        ax.minorticks_off()
    step = -(-len(ticks) // MAX_TICKS)
    ax.set_xticks(ticks[::step], [plain_number(value, None) for value in ticks[::step]])
    ax.set_ylim(0, 1.06 * ax.dataLim.y1)
    ax.set_xlabel(style.shorten(key))
    ax.grid(True)


def _bound(row: Row, metric: str, end: str) -> Any:
    """A bound of the interval, or the value if it has no interval."""
    bound = row.metrics.get(f"{metric}_{end}")
    return row.metrics[metric] if bound is None else bound


def _draw_dots(ax: Axes, groups: dict[str, list[Row]], metric: str, rows: list[Row]) -> None:
    """The value of each row with its interval and number; hollow if the variant has collapsed."""
    colors = dict(zip(groups, style.OKABE_ITO * len(groups), strict=False))
    color_of = {id(row): colors[name] for name, group in groups.items() for row in group}
    for y, row in enumerate(rows):
        value, color = row.metrics[metric], color_of[id(row)]
        if value is not None:
            bounds = [_bound(row, metric, end) for end in ("low", "high")]
            ax.plot(bounds, [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            ax.plot(
                value, y, "o", color=color, markersize=6, markerfacecolor="white" if row.metrics["collapsed"] else color
            )
            ax.annotate(digits(value), (value, y), (0, 5), textcoords="offset points", ha="center", fontsize=7,
                        color=style.MUTED)  # fmt: skip
    for name, color in colors.items() if len(colors) > 1 else ():
        ax.plot([], [], "o", color=color, label=style.shorten(name, 40))
    ax.set_yticks(range(len(rows)), [style.shorten(row.name, 34) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.7)
    ax.set_xlim(left=0)
    ax.margins(x=0.15)
    ax.grid(axis="x")
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0, labelcolor=style.INK)
