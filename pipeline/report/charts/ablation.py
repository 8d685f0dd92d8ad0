"""ablation.png: variants that differ in their loss alone, side by side."""

from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.ablation import Ablation
from pipeline.report.charts import marks
from pipeline.report.text import digits

METRICS = {
    "mse": "MSE, own scale",
    "mel_mse": "MSE, common log-mel",
    "kl": "KL, nats",
    "probe_accuracy": "Probe accuracy",
}
CAPTION = (
    "Variants that are equal but for terms of their loss, which the names on the left give: what each leaves of the "
    "error, spends in KL and tells of the label, with 95 % intervals."
)


def draw(ablations: list[Ablation]) -> Figure | None:
    """A row of panels for each group; nothing where no two variants are so alike."""
    if not ablations:
        return None
    heights = [len(group.rows) + 1.2 for group in ablations]
    picture = style.figure(11, 0.4 + 0.46 * sum(heights))
    grid = picture.subplots(len(ablations), len(METRICS), squeeze=False, height_ratios=heights)
    for axes, group in zip(grid, ablations, strict=True):
        names = [f"{style.plain(row.variant, 24)}\n{_values(group, i)}" for i, row in enumerate(group.rows)]
        for ax, (metric, title) in zip(axes, METRICS.items(), strict=True):
            for y, row in enumerate(group.rows):
                marks.interval(ax, row, metric, y, style.OKABE_ITO[y % len(style.OKABE_ITO)])
                if row[metric] is not None:
                    ax.annotate(digits(row[metric]), (row[metric], y), (0, 7), textcoords="offset points",
                                ha="center", fontsize=7.5, color=style.MUTED)  # fmt: skip
            ax.set_yticks(range(len(group.rows)), names if ax is axes[0] else [""] * len(names))
            ax.tick_params(axis="y", length=0, labelcolor=style.INK)
            ax.spines["left"].set_visible(False)
            ax.set_ylim(len(group.rows) - 0.4, -0.75)
            ax.margins(x=0.2)
            ax.set_title(title)
            ax.grid(axis="x")
            ax.locator_params(axis="x", nbins=4)
            if all(row[metric] is None for row in group.rows):
                ax.set_axis_off()
    return picture


def _values(group: Ablation, number: int) -> str:
    """What of the loss this variant has, a few keys to a line."""
    said = [f"{key} {_value(values[number])}" for key, values in group.keys.items()]
    return "\n".join(", ".join(said[i : i + 2]) for i in range(0, len(said), 2))


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
