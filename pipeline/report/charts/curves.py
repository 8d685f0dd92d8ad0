"""curves.png: the learning curves of all variants with one input in one figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row
from pipeline.report.training import Training

PANELS = {
    "valid_mse": ("Mean squared error", "on the input's scale"),
    "valid_loss": ("Objective", "nats per window"),
    "valid_kl": ("KL", "nats per window"),
}
CAPTION = (
    "Validation by epoch, the variants of one input in one row, a thinner line for each further seed: the error, the "
    "objective at its final weights (which differ between losses, so that its level compares just where they agree), "
    "and the KL. A dot marks the epoch whose weights were kept."
)


def draw(rows: list[Row], trainings: dict[str, Training]) -> Figure | None:
    """A row of panels for each input; nothing where nothing was trained."""
    groups = marks.by_input([row for row in rows if row.variant in trainings and trainings[row.variant].histories])
    if not groups:
        return None
    picture = style.figure(11, 0.3 + 3.0 * len(groups))
    grid = picture.subplots(len(groups), len(PANELS), squeeze=False)
    for axes, (representation, group) in zip(grid, groups.items(), strict=True):
        for ax, (column, (title, unit)) in zip(axes, PANELS.items(), strict=True):
            _panel(ax, column, group, trainings)
            ax.set_title(style.plain(f"{title}, {representation}"))
            ax.set_ylabel(unit)
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for ax in grid[-1]:
        ax.set_xlabel("epoch")
    return picture


def _panel(ax: Axes, column: str, group: list[Row], trainings: dict[str, Training]) -> None:
    ends = []
    for row, (color, line) in zip(group, marks.colours(group).values(), strict=True):
        for number, history in enumerate(trainings[row.variant].histories.values()):
            if column not in history:
                continue
            label = None if number else style.plain(row.variant, 22)
            ax.plot(history["epoch"], history[column], color=color, linestyle=line, label=label,
                    linewidth=0.7 if number else 1.4, marker="." if len(history) == 1 else None)  # fmt: skip
            best = int(history["valid_loss"].argmin()) if "valid_loss" in history else len(history) - 1
            ax.plot(history["epoch"].iloc[best], history[column].iloc[best], "o", color=color, markersize=3.5)
            ends.append(history[column].iloc[len(history) // 10 :])
    values = [value for end in ends for value in end.dropna()]
    if values and column == "valid_kl" and min(values) > 0:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(marks.plain_number)
        ax.yaxis.set_minor_formatter(marks.plain_number)
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    elif values:  # the first epochs may lie far above all that follows
        low, high = min(values), max(values)
        ax.set_ylim(low - 0.06 * (high - low or 1), high + 0.06 * (high - low or 1))
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
