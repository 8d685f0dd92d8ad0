"""curves.png: the learning curves of all variants, one line of panels per input."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.histories import History, selected_row
from pipeline.report.table import Row, by_input

PANELS = {
    "valid_mse": ("Mean squared error", "on the input's scale"),
    "valid_loss": ("Objective", "nats per window"),
    "valid_kl": ("KL", "nats per window"),
}
CAPTION = (
    "Validation error, objective (at its final weights) and KL by epoch; each line of panels shows the variants of one "
    "input. Thinner lines are further seeds. A dot marks the selected epoch, whose weights are used. Objectives "
    "compare only between variants with the same loss."
)


def draw(rows: list[Row], histories: dict[str, History]) -> Figure | None:
    """Three panels for each input; None if nothing was trained."""
    groups = by_input([row for row in rows if histories.get(row.variant)])
    if not groups:
        return None
    figure = Figure(figsize=(11, 0.3 + 3.0 * len(groups)))
    grid = figure.subplots(len(groups), len(PANELS), squeeze=False)
    for axes, (representation, group) in zip(grid, groups.items(), strict=True):
        for ax, (metric, (title, unit)) in zip(axes, PANELS.items(), strict=True):
            _draw_panel(ax, metric, group, histories)
            ax.set_title(style.shorten(f"{title}, {representation}"))
            ax.set_ylabel(unit)
        marks.add_legend(axes[-1], group)
    for ax in grid[-1]:
        ax.set_xlabel("epoch")
    return figure


def _draw_panel(ax: Axes, metric: str, group: list[Row], histories: dict[str, History]) -> None:
    values: list[float] = []  # without the first tenth of the epochs, which may be far higher
    for row, line in marks.with_lines(group):
        for number, epochs in enumerate(histories[row.variant].values()):
            if metric not in epochs:
                continue
            width, marker = 0.7 if number else 1.4, "." if len(epochs) == 1 else None
            ax.plot(epochs["epoch"], epochs[metric], linewidth=width, marker=marker, **line)
            selected = epochs.iloc[selected_row(epochs)]
            ax.plot(selected["epoch"], selected[metric], "o", color=line["color"], markersize=3.5)
            values += epochs[metric].iloc[len(epochs) // 10 :].dropna().tolist()
    if values and metric == "valid_kl" and min(values) > 0:
        ax.set_yscale("log")
        marks.use_plain_numbers(ax.yaxis)
        ax.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    elif values:
        margin = 0.06 * (max(values) - min(values) or 1)
        ax.set_ylim(min(values) - margin, max(values) + margin)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
