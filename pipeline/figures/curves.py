"""Training curves of all seeds, and PCA's error over the number of components."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.figures import style
from pipeline.figures.grid import FigureGrid
from pipeline.training.selection import selected_epoch

MAX_COLUMNS = 4
TICK_STEPS = [1, 2, 2.5, 5, 10]
NATS, UNWEIGHTED = "nats per window", "unweighted"
UNITS = {"active_units": "latent dimensions", "perplexity": "codes", "mse": "on the input's scale"}
SPLITS = {"train": "training", "valid": "validation"}
HIDDEN_COLUMNS = {
    *("epoch", "grad_norm", "variance_ratio", "learning_rate"),
    *("beta_effective", "active_share", "perplexity_share", "collapsed", "adversarial_phase"),
}


@dataclass(frozen=True)
class Panel:
    """One plot: title, unit, and the names of its lines by column of history.csv."""

    title: str
    unit: str
    lines: dict[str, str]


def history_panels(columns: list[str], varying: list[str]) -> list[Panel]:
    """The plots of a history.csv with these columns; a term has a plot only if it is `varying`."""
    terms: dict[str, dict[str, str]] = {}  # term -> column -> name of its line
    for column in columns:
        split, _, term = column.partition("_")
        if split in SPLITS and term and column in varying:
            terms.setdefault(term, {})[column] = SPLITS[split]
    by_level = {
        name: {column: column.removeprefix(prefix) for column in columns if column.startswith(prefix)}
        for name, prefix in (("kl", "valid_kl_"), ("active_units", "active_units_"))
    }
    standard = {"loss", "reconstruction", "kl", "mse", "distance"}
    extra = [term for term in terms if term not in standard and not term.startswith("kl_")]
    panels = [
        Panel("Objective", NATS, terms.get("loss", {})),
        Panel("Reconstruction term", NATS, terms.get("reconstruction", {})),
        Panel("KL term", NATS, terms.get("kl", {})),
        Panel("KL by level, validation", NATS, by_level["kl"]),
        Panel("Weight of the KL term", "beta", {"beta": ""} if "kl" in terms and "beta" in varying else {}),
        Panel("Gradient norm", "before clipping", {"grad_norm": ""} if "grad_norm" in varying else {}),
        # Without extra terms, the distance shows the same as the reconstruction term.
        Panel("Reconstruction distance", UNWEIGHTED, terms.get("distance", {}) if extra else {}),
        *(Panel(_title(term), UNWEIGHTED, terms[term]) for term in extra),
        Panel("Mean squared error", UNITS["mse"], terms.get("mse", {})),
    ]
    for name in ("active_units", "perplexity"):
        if name in columns:
            levels = by_level.get(name, {})
            panels.append(Panel(_title(name), UNITS[name], {name: "all" if levels else ""} | levels))
    plotted = {column for panel in panels for column in panel.lines} | HIDDEN_COLUMNS
    for column in columns:
        is_split = column.partition("_")[0] in SPLITS
        if column in varying and column not in plotted and not is_split and not column.startswith("active_share"):
            panels.append(Panel(_title(column), "", {column: ""}))
    return [panel for panel in panels if panel.lines]


def draw_training_curves(histories: dict[int, pd.DataFrame]) -> Figure:
    """A plot for each term over the epochs, with a line per seed; a dot marks each seed's selected epoch."""
    rows = pd.concat(histories.values())
    numbers = rows.select_dtypes("number")
    varying = [str(name) for name, column in numbers.items() if column.fillna(0).ne(0).any()]
    panels = history_panels(list(rows.columns), varying)
    count = len(panels)
    columns = next((n for n in (3, 4) if count % n == 0), MAX_COLUMNS) if count > MAX_COLUMNS else max(1, count)
    heights = [1.75] * max(1, -(-count // columns))
    grid = FigureGrid([2.45] * columns, heights, left=0.85, column_gaps=0.85, row_gaps=0.55, bottom=0.5)
    axes = [grid.axes(*divmod(number, columns)) for number in range(count)]
    for number, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
        _draw_panel(ax, panel, histories)
        if number + columns >= count:  # the lowest of its column
            ax.set_xlabel("epoch")
    if panels and "valid_loss" in panels[0].lines:
        for history in histories.values():
            phase = history.get("adversarial_phase", pd.Series())
            selected = history.iloc[selected_epoch(history["valid_loss"].tolist(), phase.tolist())]
            axes[0].plot(selected["epoch"], selected["valid_loss"], "o", color=style.ACCENT, markersize=5)
        axes[0].plot([], [], "o", color=style.ACCENT, markersize=5, label="selected epoch")
        axes[0].legend(loc="upper right")
    return grid.figure


def _draw_panel(ax: Axes, panel: Panel, histories: dict[int, pd.DataFrame]) -> None:
    is_of_splits = {"training", "validation"} >= set(panel.lines.values()) or len(panel.lines) == 1
    for number, (column, name) in enumerate(panel.lines.items()):
        is_train = column.startswith("train_")
        color = style.ACCENT if is_of_splits else style.OKABE_ITO[number % len(style.OKABE_ITO)]
        for i, history in enumerate(h for h in histories.values() if column in h):
            ax.plot(
                history["epoch"],
                history[column],
                color=style.REFERENCE if is_train else color,
                linestyle="--" if is_train else "-",
                alpha=1 if len(histories) == 1 else 0.65,
                marker="." if len(history) == 1 else None,
                label=None if i else name,
            )
    ax.set_title(panel.title)
    ax.set_ylabel(panel.unit)
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=TICK_STEPS, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=TICK_STEPS))
    ax.ticklabel_format(axis="y", scilimits=(-4, 6))
    ax.margins(y=0.08)
    if panel.unit and "nats" not in panel.unit and panel.unit != "beta":
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    if not is_of_splits:
        ax.legend(loc="best")


def draw_component_curve(sizes: pd.DataFrame, mean_mse: float) -> Figure:
    """PCA's test error over the number of components, of sizes.parquet, with the error `mean_mse` of the train mean."""
    grid = FigureGrid([6.2], [3.5], left=0.75, bottom=0.5)
    ax = grid.axes(0, 0)
    rows = sizes[sizes["latent"] > 0]
    ax.fill_between(rows["latent"], rows["mse_low"], rows["mse_high"], color=style.ACCENT, alpha=0.18, linewidth=0)
    ax.plot(rows["latent"], rows["mse"], color=style.ACCENT)
    ax.axhline(mean_mse, color=style.INK, linewidth=1, linestyle="--", label="mean predictor")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("components")
    ax.set_ylabel("mean squared error of the test windows")
    ax.xaxis.set_major_formatter("{x:.0f}")
    for set_formatter in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
        set_formatter("{x:.3g}")
    ax.grid(True, which="both")
    ax.legend(loc="lower left")
    return grid.figure


def _title(column: str) -> str:
    text = column.replace("_", " ")
    return text[:1].upper() + text[1:]
