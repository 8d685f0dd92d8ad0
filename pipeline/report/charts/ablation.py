"""ablation.png: variants that differ only in their loss, side by side."""

import json
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from pipeline.core.params import flatten
from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.formatting import digits
from pipeline.report.table import Row
from pipeline.training.config import read_variant

METRICS = {
    "mse": "MSE, own scale",
    "mel_mse": "MSE, common log-mel",
    "kl": "KL, nats",
    "probe_accuracy": "Probe accuracy",
}
CAPTION = (
    "Variants that differ only in the loss terms that stand below their names, with 95 % intervals: the errors, the "
    "KL, and how well a linear probe predicts the label from the latent."
)


@dataclass(frozen=True)
class Ablation:
    """Two or more variants with equal input, network, bottleneck, condition, scaling and training.

    `differences` has, for each dotted key of the loss that differs, the values of the rows.
    """

    rows: list[Row]
    differences: dict[str, list[Any]]


def find_ablations(rows: list[Row], params: dict[str, Any]) -> list[Ablation]:
    """Group the evaluated variants by all settings except the loss; ParamsError if these are wrong."""
    groups: dict[str, list[tuple[Row, dict[str, Any]]]] = {}
    for row in rows:
        if row.role == "variant" and row.evaluated:
            model, training = read_variant(params, row.variant)
            others = [model.model_dump(mode="json", exclude={"loss", "train"}), training.model_dump(mode="json")]
            loss = model.loss.model_dump(mode="json") if model.loss else {}
            groups.setdefault(json.dumps(others, sort_keys=True), []).append((row, dict(flatten(loss))))
    return [_ablation(group) for group in groups.values() if len(group) > 1]


def _ablation(group: list[tuple[Row, dict[str, Any]]]) -> Ablation:
    losses = [loss for _, loss in group]
    values = {key: [loss.get(key) for loss in losses] for loss in losses for key in loss}
    differences = {key: row for key, row in values.items() if any(value != row[0] for value in row)}
    return Ablation([row for row, _ in group], differences)


def draw(ablations: list[Ablation]) -> Figure | None:
    """A line of panels for each ablation; None without one."""
    if not ablations:
        return None
    heights = [len(group.rows) + 1.2 for group in ablations]
    figure = Figure(figsize=(11, 0.4 + 0.46 * sum(heights)))
    grid = figure.subplots(len(ablations), len(METRICS), squeeze=False, height_ratios=heights)
    for axes, group in zip(grid, ablations, strict=True):
        names = [f"{style.shorten(row.variant, 24)}\n{_loss_text(group, i)}" for i, row in enumerate(group.rows)]
        for ax, (metric, title) in zip(axes, METRICS.items(), strict=True):
            for y, row in enumerate(group.rows):
                marks.draw_interval(ax, row, metric, y, style.OKABE_ITO[y % len(style.OKABE_ITO)])
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
    return figure


def _loss_text(group: Ablation, index: int) -> str:
    """The differing loss settings of one row, two on a line."""
    values = {key: values[index] for key, values in group.differences.items()}
    settings = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()]
    return "\n".join(", ".join(settings[i : i + 2]) for i in range(0, len(settings), 2))
