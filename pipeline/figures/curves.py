"""Training curves of all seeds."""

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
SPLITS = {"train": "training", "valid": "validation"}
PANELS = {  # term, or column without a split -> title and unit; these come first
    "loss": ("Objective", NATS),
    "reconstruction": ("Reconstruction term", NATS),
    "kl": ("KL term", NATS),
    "beta": ("Weight of the KL term", "beta"),
    "grad_norm": ("Gradient norm", "before clipping"),
    "distance": ("Reconstruction distance", UNWEIGHTED),
    "mse": ("Mean squared error", "on the input's scale"),
    "active_units": ("Active units", "latent dimensions"),
    "perplexity": ("Perplexity", "codes"),
}
HIDDEN_COLUMNS = {
    *("epoch", "variance_ratio", "learning_rate", "beta_effective", "perplexity_share", "collapsed"),
    "adversarial_phase",
}


@dataclass(frozen=True)
class Panel:
    """One plot: title, unit, and the names of its lines by column of history.csv."""

    title: str
    unit: str
    lines: dict[str, str]


def history_panels(columns: list[str]) -> list[Panel]:
    """The plots of these columns of a history.csv: one for each term, with its training and validation."""
    lines: dict[str, dict[str, str]] = {name: {} for name in PANELS}
    for column in columns:
        split, _, term = column.partition("_")
        if split in SPLITS:
            lines.setdefault(term, {})[column] = SPLITS[split]
        elif column not in HIDDEN_COLUMNS and not column.startswith("active_share"):
            lines.setdefault(column, {})[column] = ""
    if {column.removeprefix("train_") for column in columns if column.startswith("train_")} <= PANELS.keys():
        del lines["distance"]  # without extra terms, it shows the same as the reconstruction term
    panels = []
    for name, names in lines.items():
        unit = NATS if name.startswith("kl_") else UNWEIGHTED if any(names.values()) else ""
        panels.append(Panel(*PANELS.get(name, (_title(name), unit)), names))
    return [panel for panel in panels if panel.lines]


def draw_training_curves(histories: dict[int, pd.DataFrame]) -> Figure:
    """A plot for each term over the epochs, with a line per seed; a dot marks each seed's selected epoch."""
    rows = pd.concat(histories.values())
    numbers = rows.select_dtypes("number")
    always = ("active_units", "perplexity")  # a collapsed run has 0 of them
    varying = [str(name) for name, column in numbers.items() if name in always or column.fillna(0).ne(0).any()]
    panels = history_panels(varying)
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
    for column, name in panel.lines.items():
        is_train = column.startswith("train_")
        for i, history in enumerate(h for h in histories.values() if column in h):
            ax.plot(
                history["epoch"],
                history[column],
                color=style.REFERENCE if is_train else style.ACCENT,
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


def _title(column: str) -> str:
    text = column.replace("_", " ").replace("kl ", "KL ")
    return text[:1].upper() + text[1:]
