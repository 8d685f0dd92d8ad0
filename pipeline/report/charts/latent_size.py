"""latent_size.png: the error of PCA for every number of components, and of each variant at the size of its latent."""

from collections import Counter
from dataclasses import replace

from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import marks
from pipeline.report.pca import find_baselines
from pipeline.report.table import Row, by_input

CAPTION = (
    "Error on the input's own scale over the numbers in the latent, with 95 % intervals, on logarithmic axes. The "
    "curve is PCA with as many components: a variant below it is better than PCA of its size. Variants of one size "
    "stand side by side. Those without a PCA baseline of their size are left out; hollow points have collapsed."
)
SPACING = 1.04  # between variants of the same size, as a factor
MIN_RANGE = 4.0  # how far the size axis goes beyond the smallest and largest latent, as a factor


def draw(rows: list[Row]) -> Figure | None:
    """A panel for each input with PCA and a variant to compare; None without one."""
    baselines = find_baselines(rows)
    has_size = {name: set(sizes["latent"]) for name, (_, sizes) in baselines.items()}
    compared = [row for row in rows if row["pca_ratio"] is not None]
    groups = by_input([row for row in compared if row["latent_dims"] in has_size.get(row.representation, ())])
    if not groups:
        return None
    figure, panels = marks.input_panels(groups)
    styles = marks.point_styles(rows)
    for ax, (representation, group) in zip(panels, groups.items(), strict=True):
        sizes = baselines[representation][1]
        latents = [row["latent_dims"] or 1.0 for row in group]
        first, last = max(min(latents) / MIN_RANGE, 1), max(latents) * MIN_RANGE
        curve = sizes[sizes["latent"].between(first, last)]
        ax.fill_between(curve["latent"], curve["mse_low"], curve["mse_high"], color=style.GRID, linewidth=0)
        ax.plot(curve["latent"], curve["mse"], color=style.INK, label="PCA")
        band = [*curve["mse_low"], *curve["mse_high"]]
        marks.draw_errors(ax, _side_by_side(group), styles, "latent_dims", "mse", (first, last), band)
        ax.set_ylabel("mean squared error")
        ax.set_xlabel("numbers in the latent")
    return figure


def _side_by_side(group: list[Row]) -> list[Row]:
    """Rows of the same latent_dims a little apart, so that one sees each."""
    counts = Counter(row["latent_dims"] for row in group)
    drawn: Counter[float | None] = Counter()
    moved = []
    for row in group:
        size = row["latent_dims"]
        place = drawn[size] - (counts[size] - 1) / 2
        moved.append(replace(row, numbers=row.numbers | {"latent_dims": (size or 1.0) * SPACING**place}))
        drawn[size] += 1
    return moved
