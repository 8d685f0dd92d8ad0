"""rate_distortion.png: the error of each variant (distortion) over its KL (rate)."""

from math import log

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row, by_input

CAPTION = (
    "Error on the input's own scale over the KL in nats per window, with 95 % intervals, on logarithmic axes: variants "
    "further down and further left are better. The dashed lines have no rate: the mean predictor, and PCA with the "
    "latent sizes of the variants. The KL of a codebook is the length of its codes under their prior."
)
NAME_SPACING = 0.052  # between the names on the right, as a share of the panel's height


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input with a variant that has a KL; None without one."""
    scored = [row for row in rows if row.role == "variant" and (row["kl"] or 0) > 0 and row["mse"]]
    groups = by_input(scored)
    if not groups:
        return None
    figure = style.figure(0.4 + 5.2 * len(groups), 4.0)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, (representation, group) in zip(panels, groups.items(), strict=True):
        _draw_panel(ax, representation, group)
    return figure


def _draw_panel(ax: Axes, representation: str, group: list[Row]) -> None:
    for row in group:
        ax.errorbar(row["kl"] or 0.0, row["mse"] or 0.0, xerr=_deviations(row, "kl"), yerr=_deviations(row, "mse"),
                    fmt="o", color=marks.colour(row), markersize=5.5, elinewidth=1)  # fmt: skip
    baselines = {"mean predictor": next((row["mse_mean"] for row in group if row["mse_mean"]), None)}
    baselines |= {f"PCA {row['latent_dims']:.0f}": row["mse_pca"] for row in group if row["mse_pca"]}
    errors = [value for row in group for value in (row["mse"], row["mse_low"], row["mse_high"]) if value]
    errors += [value for value in baselines.values() if value]
    low, high = min(errors) / 1.12, max(errors) * 1.12
    for name, error in baselines.items():
        if error:
            color = style.INK if name.startswith("mean") else style.OKABE_ITO[1]
            ax.axhline(error, color=color, linewidth=1, linestyle="--", zorder=0)
            ax.annotate(name, (0, error), (3, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                        fontsize=7.5, color=color)  # fmt: skip
    rates = [row["kl"] or 1.0 for row in group]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.set_xlim(min(rates) / 1.5, max(rates) * 1.3)
    for axis in (ax.xaxis, ax.yaxis):
        marks.use_plain_numbers(axis)
    if max(rates) > 10 * min(rates):  # labels of all minor ticks would overlap
        ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.tick_params(which="minor", labelsize=7)
    ax.set_xlabel("KL in nats per window")
    ax.set_ylabel("mean squared error")
    ax.grid(True, which="both")
    ax.set_axisbelow(True)
    ax.set_title(style.shorten(representation))
    _write_names(ax, group, low, high)


def _deviations(row: Row, metric: str) -> list[list[float]]:
    """The interval in matplotlib's form: the distances below and above the value."""
    value = row[metric] or 0.0
    low, high = row[f"{metric}_low"] or value, row[f"{metric}_high"] or value
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _write_names(ax: Axes, group: list[Row], low: float, high: float) -> None:
    """Write the names to the right of the panel without overlap, each with a thin line to its dot."""
    ordered = sorted(group, key=lambda row: row["mse"] or 0.0)
    heights: list[float] = []
    for row in ordered:
        height = log((row["mse"] or low) / low) / log(high / low)
        heights.append(max(height, heights[-1] + NAME_SPACING) if heights else height)
    if heights[-1] > 1:  # push the names down into the panel
        heights = [min(height, 1 - NAME_SPACING * i) for i, height in enumerate(reversed(heights))][::-1]
    for row, height in zip(ordered, heights, strict=True):
        ax.annotate(
            style.shorten(row.variant, 22),
            (row["kl"], row["mse"]),
            (1.03, height),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=style.INK,
            arrowprops={"arrowstyle": "-", "color": style.REFERENCE, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )
