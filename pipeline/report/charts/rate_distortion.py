"""rate_distortion.png: the error of each variant (distortion) over its KL (rate)."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.table import Row, by_input

CAPTION = (
    "Error on the input's own scale over the KL in nats per window, with 95 % intervals, on logarithmic axes: variants "
    "further down and further left are better. The dashed lines have no rate: the mean predictor, and PCA with as "
    "many components as a latent has numbers. The KL of a codebook is the length of its codes under their prior."
)


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input with a variant that has a KL; None without one."""
    scored = [row for row in rows if row.role == "variant" and (row["kl"] or 0) > 0 and row["mse"]]
    groups = by_input(scored)
    if not groups:
        return None
    figure, panels = marks.input_panels(groups)
    for ax, group in zip(panels, groups.values(), strict=True):
        _draw_panel(ax, group)
    return figure


def _draw_panel(ax: Axes, group: list[Row]) -> None:
    baselines = {"mean predictor": next((row["mse_mean"] for row in group if row["mse_mean"]), None)}
    baselines |= {f"PCA, {row['latent_dims']:,.0f} components": row["mse_pca"] for row in group if row["mse_pca"]}
    lines = {name: error for name, error in baselines.items() if error}
    rates = [row["kl"] or 1.0 for row in group]
    marks.draw_errors(ax, group, "kl", (min(rates) / 1.5, max(rates) * 1.3), lines.values())
    for name, error in lines.items():
        color = style.INK if name.startswith("mean") else style.OKABE_ITO[1]
        ax.axhline(error, color=color, linewidth=1, linestyle="--", zorder=0)
        ax.annotate(name, (0, error), (3, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                    fontsize=7.5, color=color)  # fmt: skip
    ax.set_xlabel("KL in nats per window")
