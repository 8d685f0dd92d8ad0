"""rate_distortion.png: what each variant spends, the KL, against what it leaves, the error."""

from math import log

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row

CAPTION = (
    "Error on the input's own scale against the KL in nats per window, with 95 % intervals, both axes logarithmic: "
    "better is down and to the left. The mean predictor spends nothing; PCA, at the latent sizes that variants have, "
    "has no rate. The KL of a codebook is the length of its codes under their prior."
)
LINE = 0.052  # of the panel's height, from one name to the next


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input of which a variant has a KL."""
    scored = [row for row in rows if row.role == "variant" and (row["kl"] or 0) > 0 and row["mse"]]
    groups = marks.by_input(scored)
    if not groups:
        return None
    picture = style.figure(0.4 + 5.2 * len(groups), 4.0)
    panels = picture.subplots(1, len(groups), squeeze=False)[0]
    for ax, (representation, group) in zip(panels, groups.items(), strict=True):
        _panel(ax, representation, group)
    return picture


def _panel(ax: Axes, representation: str, group: list[Row]) -> None:
    for row in group:
        ax.errorbar(row["kl"] or 0.0, row["mse"] or 0.0, xerr=_ends(row, "kl"), yerr=_ends(row, "mse"), fmt="o",
                    color=marks.colour(row), markersize=5.5, elinewidth=1)  # fmt: skip
    lines = {"mean predictor": next((row["mse_mean"] for row in group if row["mse_mean"]), None)}
    for row in group:
        if row["mse_pca"]:
            lines[f"PCA {row['latent_dims']:.0f}"] = row["mse_pca"]
    errors = [value for row in group for value in (row["mse"], row["mse_low"], row["mse_high"]) if value]
    errors += [value for value in lines.values() if value]
    low, high = min(errors) / 1.12, max(errors) * 1.12
    for name, error in lines.items():
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
        axis.set_major_formatter(marks.plain_number)
        axis.set_minor_formatter(marks.plain_number)
    if max(rates) > 10 * min(rates):  # names of all ticks would run into one another
        ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    ax.tick_params(which="minor", labelsize=7)
    ax.set_xlabel("KL in nats per window")
    ax.set_ylabel("mean squared error")
    ax.grid(True, which="both")
    ax.set_axisbelow(True)
    ax.set_title(style.plain(representation))
    _names(ax, group, low, high)


def _ends(row: Row, metric: str) -> list[list[float]]:
    """The interval as matplotlib wants it: how far down and how far up."""
    value = row[metric] or 0.0
    low, high = row[f"{metric}_low"] or value, row[f"{metric}_high"] or value
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _names(ax: Axes, group: list[Row], low: float, high: float) -> None:
    """Names in a column to the right, in the order of the errors, each with a thin line to its dot."""
    order = sorted(group, key=lambda row: row["mse"] or 0.0)
    wanted = [log((row["mse"] or low) / low) / log(high / low) for row in order]
    places: list[float] = []
    for height in wanted:
        places.append(max(height, places[-1] + LINE) if places else height)
    over = max(0.0, places[-1] - 1)
    for i in range(len(places) - 1, -1, -1):  # pushed down from the top where they would leave the panel
        places[i] = min(places[i], 1 - LINE * (len(places) - 1 - i)) if over else places[i]
    for row, place in zip(order, places, strict=True):
        ax.annotate(
            style.plain(row.variant, 22),
            (row["kl"], row["mse"]),
            (1.03, place),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=style.INK,
            arrowprops={"arrowstyle": "-", "color": style.REFERENCE, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )
