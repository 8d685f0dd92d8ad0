"""A study in one picture: what each experiment leaves of the error, spends in KL and tells of the label."""

from collections import Counter
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts.marks import plain_number
from pipeline.report.text import digits
from pipeline.studies.table import Row, on_one_scale, written

PANELS = {
    "mse": "MSE, own scale",
    "mel_mse": "MSE, common log-mel",
    "kl": "KL, nats",
    "probe_accuracy": "Label accuracy",
    "perplexity": "Codes in use (perplexity)",
}
CURVE = 3  # values of one number from which on they make a curve
WIDE = 8.0  # largest over smallest value from which on an axis is logarithmic
DPI = 130


def draw(rows: list[Row], path: Path) -> bool:
    """Write a PNG of the variants that are trained; False, and none, where there is no such row."""
    shown = [row for row in rows if row.is_trained]
    if not shown:
        return False
    axis = _axis(shown)
    with style.look():
        style.save(_curves(shown, axis) if axis else _dots(shown), path, DPI)
    return True


def _axis(rows: list[Row]) -> str | None:
    """The one setting, a number of enough values, that the study goes through."""
    varied = {key for row in rows for key in row.settings if len(_values(rows, key)) > 1}
    numbers = [key for key in varied if all(isinstance(v, int | float) for v in _values(rows, key))]
    many = [key for key in numbers if len(_values(rows, key)) >= CURVE]
    return many[0] if len(many) == 1 else None


def _values(rows: list[Row], key: str) -> list[object]:
    """The different values of a setting, in their order."""
    return list({repr(row.settings[key]): row.settings[key] for row in rows if row.settings[key] is not None}.values())


def _panels(rows: list[Row]) -> dict[str, str]:
    """Metrics that there are; the own scale only where it tells something else than the common one."""
    found = {metric: title for metric, title in PANELS.items() if any(row.metrics[metric] is not None for row in rows)}
    if on_one_scale(rows):
        del found["mse"]
    return found


def _divides(rows: list[Row]) -> str | None:
    """The setting that divides the rows most evenly, and so is the best one to be seen at a glance."""
    varied = [key for key in rows[0].settings if 1 < len(_values(rows, key)) < len(rows)]
    return min(varied, key=lambda key: max(Counter(repr(row.settings[key]) for row in rows).values()), default=None)


def _curves(rows: list[Row], axis: str) -> Figure:
    """The setting along x, and a line for each variant with all other settings equal."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row.settings[axis] is not None:
            others = [f"{k} {written(v)}" for k, v in row.settings.items() if k != axis and len(_values(rows, k)) > 1]
            lines.setdefault(", ".join([row.variant, *others]), []).append(row)
    panels = _panels(rows)
    picture = style.figure(0.4 + 2.7 * len(panels), 2.7 + 0.2 * ((len(lines) - 1) // 2))
    axes = picture.subplots(1, len(panels), squeeze=False)[0]
    xs = sorted({row.settings[axis] for row in rows if row.settings[axis] is not None})
    for ax, (metric, title) in zip(axes, panels.items(), strict=True):
        for i, (name, line) in enumerate(lines.items()):
            known = [row for row in line if row.metrics[metric] is not None]
            known.sort(key=lambda row: float(row.settings[axis]))
            color, marker = style.OKABE_ITO[i % len(style.OKABE_ITO)], style.MARKERS[i % len(style.MARKERS)]
            x = [row.settings[axis] for row in known]
            low, high = ([_bound(row, metric, end) for row in known] for end in ("low", "high"))
            ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
            ax.plot(x, [row.metrics[metric] for row in known], marker=marker, markersize=4.5, color=color,
                    label=style.plain(name, 40))  # fmt: skip
            for row in known:
                if row.collapsed:
                    ax.plot(row.settings[axis], row.metrics[metric], marker, markersize=4.5, color=color, mfc="white")
        if min(xs) > 0 and max(xs) / min(xs) >= WIDE:
            ax.set_xscale("log")
            ax.minorticks_off()
        step = -(-len(xs) // 8)
        ax.set_xticks(xs[::step], [plain_number(x, None) for x in xs[::step]])
        ax.set_ylim(0, 1.06 * ax.dataLim.y1)
        ax.set_title(title)
        ax.set_xlabel(style.plain(axis))
        ax.grid(True)
    _legend(picture, axes[0], any(row.collapsed for row in rows))
    return picture


def _bound(row: Row, metric: str, end: str) -> float | None:
    """The low or high end of a value's interval; where it has none, the value."""
    bound = row.metrics.get(f"{metric}_{end}")
    return row.metrics[metric] if bound is None else bound


def _dots(rows: list[Row]) -> Figure:
    """A line of the picture for each row, in the colour of its variant, or of a setting that varies."""
    variants = list(dict.fromkeys(row.variant for row in rows))
    key = _divides(rows)
    by = [row.variant if len(variants) > 1 or not key else f"{key} {written(row.settings[key])}" for row in rows]
    colors = dict(zip(dict.fromkeys(by), style.OKABE_ITO * len(by), strict=False))
    panels = _panels(rows)
    picture = style.figure(1.6 + 2.5 * len(panels), 1.2 + 0.27 * len(rows))
    axes = picture.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (metric, title) in zip(axes, panels.items(), strict=True):
        for y, (row, group) in enumerate(zip(rows, by, strict=True)):
            _dot(ax, row, metric, y, colors[group])
        ax.set_title(title)
        ax.set_xlim(left=0)
        ax.margins(x=0.15)
        ax.grid(axis="x")
        ax.locator_params(axis="x", nbins=4)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0, labelcolor=style.INK)
    axes[0].set_yticks(range(len(rows)), [style.plain(row.name, 34) for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.7)
    for group, color in colors.items() if len(colors) > 1 else ():
        axes[0].plot([], [], "o", color=color, label=style.plain(group, 40))
    _legend(picture, axes[0], any(row.collapsed for row in rows))
    return picture


def _dot(ax: Axes, row: Row, metric: str, y: int, color: str) -> None:
    """A value with its interval and number; hollow where the variant has collapsed."""
    value, low, high = (row.metrics.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(value, y, "o", color=color, markersize=6, markerfacecolor="white" if row.collapsed else color)
    ax.annotate(digits(value), (value, y), (0, 5), textcoords="offset points", ha="center", fontsize=7,
                color=style.MUTED)  # fmt: skip


def _legend(picture: Figure, ax: Axes, is_one_collapsed: bool) -> None:
    if is_one_collapsed:
        ax.plot([], [], "o", color=style.MUTED, markerfacecolor="white", label="hollow: collapsed")
    handles, labels = ax.get_legend_handles_labels()
    if len(handles) > 1 or is_one_collapsed:
        picture.legend(handles, labels, loc="outside lower center", ncols=min(4, len(handles)))
