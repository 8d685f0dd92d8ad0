"""Curves: every term of the objective, epoch by epoch, for all seeds; and PCA's error over its components."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import style
from pipeline.figures.grid import Sheet

COLUMNS = 4
NICE = [1, 2, 2.5, 5, 10]  # steps between ticks
ALSO = (
    "learning_rate",
    "seconds",
    "windows_per_second",
    "first_step_seconds",
    "beta_effective",
    "active_share",
    "perplexity_share",
    "collapsed",
)
UNITS = {"active_units": "latent dimensions", "perplexity": "codes", "mse": "on the input's scale"}


@dataclass(frozen=True)
class Panel:
    """One plot: its title, unit, and the columns of history.csv with the names of their lines."""

    title: str
    unit: str
    lines: dict[str, str]


def panels(columns: list[str], varying: list[str]) -> list[Panel]:
    """The plots of a history that has these columns.

    Args:
        columns: of history.csv.
        varying: those that are not 0 throughout; a term that is never anything else is left out.
    """
    both = {"train": "training", "valid": "validation"}
    pairs: dict[str, dict[str, str]] = {}
    for column in columns:
        side, _, term = column.partition("_")
        if side in both and term and column in varying:
            pairs.setdefault(term, {})[column] = both[side]
    parts = {
        name: {column: column.removeprefix(prefix) for column in columns if column.startswith(prefix)}
        for name, prefix in (("kl", "valid_kl_"), ("active_units", "active_units_"))
    }
    named = {"loss", "reconstruction", "kl", "mse", "distance"}
    terms = [term for term in pairs if term not in named and not term.startswith("kl_")]
    found = [
        Panel("Objective", "nats per window", pairs.get("loss", {})),
        Panel("Reconstruction term", "nats per window", pairs.get("reconstruction", {})),
        Panel("KL term", "nats per window", pairs.get("kl", {})),
        Panel("KL by level, validation", "nats per window", parts["kl"]),
        Panel("Weight of the KL term", "beta", {"beta": ""} if "kl" in pairs and "beta" in varying else {}),
        Panel("Gradient norm", "before clipping", {"grad_norm": ""} if "grad_norm" in varying else {}),
        # Alone, the distance says what the reconstruction term says.
        Panel("Reconstruction distance", "unweighted", pairs.get("distance", {}) if terms else {}),
        *(Panel(_words(term), "unweighted", pairs[term]) for term in terms),
        Panel("Mean squared error", UNITS["mse"], pairs.get("mse", {})),
        *(
            Panel(_words(name), UNITS[name], {name: "all" if parts.get(name) else ""} | parts.get(name, {}))
            for name in ("active_units", "perplexity")
            if name in columns
        ),
    ]
    shown = {column for panel in found for column in panel.lines} | {"epoch", "grad_norm", "variance_ratio", *ALSO}
    rest = [c for c in columns if c not in shown and c in varying and c.partition("_")[0] not in both]
    rest = [c for c in rest if not c.startswith("active_share")]  # of levels: the active units say it
    found += [Panel(_words(column), "", {column: ""}) for column in rest]
    return [panel for panel in found if panel.lines]


def training_curves(histories: dict[int, pd.DataFrame]) -> Figure:
    """A small plot for each term over the epochs, a line per seed; a dot marks each seed's lowest objective."""
    every = pd.concat(histories.values())
    numbers = every.select_dtypes("number")
    shown = panels(list(every.columns), [str(name) for name, column in numbers.items() if column.fillna(0).ne(0).any()])
    columns = next((n for n in (3, 4) if len(shown) % n == 0), COLUMNS) if len(shown) > COLUMNS else max(1, len(shown))
    rows = max(1, -(-len(shown) // columns))
    sheet = Sheet([2.45] * columns, [1.75] * rows, left=0.85, across=0.85, down=0.55, bottom=0.5)
    axes = [sheet.axes(number // columns, number % columns) for number in range(len(shown))]
    for number, (ax, panel) in enumerate(zip(axes, shown, strict=True)):
        _draw(ax, panel, histories)
        if number + columns >= len(shown):  # the lowest of its column
            ax.set_xlabel("epoch")
    if shown and "valid_loss" in shown[0].lines:
        for history in histories.values():
            best = history.iloc[int(history["valid_loss"].argmin())]
            axes[0].plot(best["epoch"], best["valid_loss"], "o", color=style.ACCENT, markersize=5)
        axes[0].plot([], [], "o", color=style.ACCENT, markersize=5, label="lowest validation")
        axes[0].legend(loc="upper right")
    return sheet.picture


def _draw(ax: Axes, panel: Panel, histories: dict[int, pd.DataFrame]) -> None:
    sides = {"training", "validation"} >= set(panel.lines.values()) or len(panel.lines) == 1
    for number, (column, name) in enumerate(panel.lines.items()):
        train = column.startswith("train_")
        color = style.OKABE_ITO[number % len(style.OKABE_ITO)] if not sides else style.ACCENT
        for i, history in enumerate(h for h in histories.values() if column in h):
            ax.plot(
                history["epoch"],
                history[column],
                color=style.REFERENCE if train else color,
                linestyle="--" if train else "-",
                alpha=1 if len(histories) == 1 else 0.65,
                marker="." if len(history) == 1 else None,
                label=None if i else name,
            )
    ax.set_title(panel.title)
    ax.set_ylabel(panel.unit)
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=NICE, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=NICE))
    ax.ticklabel_format(axis="y", scilimits=(-4, 6))
    ax.margins(y=0.08)
    if panel.unit and "nats" not in panel.unit and panel.unit != "beta":
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    if not sides:
        ax.legend(loc="best")


def component_curve(sizes: pd.DataFrame, mean: float) -> Figure:
    """PCA's test error over the number of its components, on two logarithmic axes.

    Args:
        sizes: sizes.parquet.
        mean: error of the train mean.
    """
    sheet = Sheet([6.2], [3.5], left=0.75, bottom=0.5)
    ax = sheet.axes(0, 0)
    some = sizes[sizes["latent"] > 0]
    ax.fill_between(some["latent"], some["mse_low"], some["mse_high"], color=style.ACCENT, alpha=0.18, linewidth=0)
    ax.plot(some["latent"], some["mse"], color=style.ACCENT)
    ax.axhline(mean, color=style.INK, linewidth=1, linestyle="--", label="mean predictor")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("components")
    ax.set_ylabel("mean squared error of the test windows")
    ax.xaxis.set_major_formatter("{x:.0f}")
    for axis in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        axis("{x:.3g}")
    ax.grid(True, which="both")
    ax.legend(loc="lower left")
    return sheet.picture


def _words(term: str) -> str:
    text = term.replace("_", " ")
    return text[:1].upper() + text[1:]
