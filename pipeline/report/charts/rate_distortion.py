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
    figure = style.figure(0.4 + 5.2 * len(groups), 4.0)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, (representation, group) in zip(panels, groups.items(), strict=True):
        _draw_panel(ax, representation, group)
    return figure


def _draw_panel(ax: Axes, representation: str, group: list[Row]) -> None:
    for row in group:
        widths, heights = marks.deviations(row, "kl"), marks.deviations(row, "mse")
        ax.errorbar(row["kl"] or 0.0, row["mse"] or 0.0, xerr=widths, yerr=heights,
                    fmt="o", color=marks.colour(row), markersize=5.5, elinewidth=1)  # fmt: skip
    baselines = {"mean predictor": next((row["mse_mean"] for row in group if row["mse_mean"]), None)}
    baselines |= {f"PCA, {row['latent_dims']:,.0f} components": row["mse_pca"] for row in group if row["mse_pca"]}
    errors = [value for row in group for value in (row["mse"], row["mse_low"], row["mse_high"]) if value]
    errors += [value for value in baselines.values() if value]
    low, high = min(errors) / 1.12, max(errors) * 1.12
    for name, error in baselines.items():
        if error:
            color = style.INK if name.startswith("mean") else style.OKABE_ITO[1]
            ax.axhline(error, color=color, linewidth=1, linestyle="--", zorder=0)
            ax.annotate(name, (0, error), (3, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
                        fontsize=7.5, color=color)  # fmt: skip
    rates = [row["kl"] or 1.0 for row in group]
    marks.use_log_axes(ax, (min(rates) / 1.5, max(rates) * 1.3), (low, high))
    ax.set_xlabel("KL in nats per window")
    ax.set_title(style.shorten(representation))
    marks.write_names(ax, group, "kl", low, high)
