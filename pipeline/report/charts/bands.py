"""bands.png: the error by frequency on the common log-mel, for each input."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row, by_input, read_bands

CAPTION = (
    "Mean squared error of each mel band of the common log-mel, by the band's centre frequency. The dashed grey line "
    "is the mean predictor. An input contains nothing to the right of its dotted line, which is half its sample rate."
)


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input; None if no variant has bands.parquet."""
    paths = {row.variant: row.folder / "bands.parquet" for row in rows if row.role == "variant"}
    bands = {variant: read_bands(path) for variant, path in paths.items() if path.is_file()}
    groups = by_input([row for row in rows if row.variant in bands])
    if not groups:
        return None
    figure = Figure(figsize=(9.2, 0.4 + 3.1 * len(groups)))
    axes = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for ax, (representation, group) in zip(axes, groups.items(), strict=True):
        means = bands[group[0].variant]["mse_mean"]
        others = []
        if means.notna().any():  # unknown if no input has the settings of the common log-mel
            others = ax.plot(means.index, means, color=style.REFERENCE, linestyle="--", label="mean predictor")
        for row, line in marks.with_lines(group):
            errors = bands[row.variant]["mse"]
            ax.plot(errors.index, errors, **line)
        if group[0]["bandwidth_hz"] is not None:
            ax.axvline(group[0]["bandwidth_hz"], color=style.INK, linewidth=1, linestyle=":")
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_ylabel("mean squared error")
        ax.set_title(style.shorten(representation))
        ax.grid(True)
        marks.add_legend(ax, group, others)
    axes[-1].xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    marks.use_plain_numbers(axes[-1].xaxis)
    axes[-1].set_xlabel("Hz")
    return figure
