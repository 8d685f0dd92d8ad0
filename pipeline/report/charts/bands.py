"""bands.png: the error over frequency on the common log-mel, for each input."""

from pathlib import Path

from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row, read_bands

CAPTION = (
    "Mean squared error of each band of the common log-mel over its middle frequency; dashed, grey: the mean "
    "predictor. To the right of the dotted line a waveform has nothing: its sample rate ends there."
)
TICKS = [60, 125, 250, 500, 1000, 2000, 4000, 8000]


def draw(rows: list[Row], evaluation: Path) -> Figure | None:
    """A panel for each input; nothing where no variant has bands.parquet."""
    paths = {row.variant: evaluation / row.variant / "bands.parquet" for row in rows if row.role == "variant"}
    found = {variant: read_bands(path) for variant, path in paths.items() if path.is_file()}
    shown = [row for row in rows if row.variant in found]
    groups = marks.by_input(shown)
    if not groups:
        return None
    picture = style.figure(9.2, 0.4 + 3.1 * len(groups))
    axes = picture.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for ax, (representation, group) in zip(axes, groups.items(), strict=True):
        means = found[group[0].variant]
        if means["mse_mean"].notna().any():  # not known where no input has the common log-mel's settings
            ax.plot(means.index, means["mse_mean"], color=style.REFERENCE, linestyle="--", label="mean predictor")
        for row, (color, line) in zip(group, marks.colours(group).values(), strict=True):
            bands = found[row.variant]
            ax.plot(bands.index, bands["mse"], color=color, linestyle=line, label=style.plain(row.variant, 22))
        if group[0]["reach_hz"] is not None:
            ax.axvline(group[0]["reach_hz"], color=style.INK, linewidth=1, linestyle=":")
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_ylabel("mean squared error")
        ax.set_title(style.plain(representation))
        ax.grid(True)
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    ends = axes[0].dataLim
    ticks = [tick for tick in TICKS if ends.x0 <= tick <= ends.x1]
    axes[-1].set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes[-1].minorticks_off()
    axes[-1].set_xlabel("Hz")
    return picture
