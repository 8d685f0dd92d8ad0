"""The latent space of the test windows: principal components, distances between labels, used dimensions and codes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy.cluster import hierarchy

from pipeline.figures import style
from pipeline.figures.grid import FigureGrid

MIN_VARIANCE = 1e-12  # a smaller variance counts as none
LEGEND_ROWS = 22
MAX_LABELS_WITH_NUMBERS = 12  # a larger matrix of distances shows no numbers


def project(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PCA of (windows, L) latents, fitted on them.

    Returns:
        (windows, 2) coordinates, and (2,) shares of the variance. A component that does not exist (a single window, one
        latent dimension, constant latents) is zero.
    """
    points, shares = np.zeros((len(latents), 2)), np.zeros(2)
    values = np.asarray(latents, np.float64)
    if len(latents) < 2 or values.var(axis=0).sum() <= MIN_VARIANCE:
        return points, shares
    left, sizes, right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    number = min(2, len(sizes))
    # The sign of a component is arbitrary: make its largest loading positive.
    largest = right[range(number), np.abs(right[:number]).argmax(axis=1)]
    points[:, :number] = left[:, :number] * sizes[:number] * np.sign(largest)
    shares[:number] = sizes[:number] ** 2 / np.sum(sizes**2)
    return points, shares


def draw_latent_pca(latents: np.ndarray, labels: Sequence[str]) -> Figure:
    """Test windows by label on the first two principal components of their latents."""
    points, shares = project(latents)
    styles = style.label_styles(labels)
    names = [style.fit_width(label, 1.9, 8) for label in styles]
    columns = 1 + (len(styles) - 1) // LEGEND_ROWS
    legend_width = 0.55 + max((style.text_width(name, 8) for name in names), default=0.0)
    grid = FigureGrid([5.2], [4.4], left=0.75, right=columns * legend_width, top=0.3, bottom=0.55)
    ax = grid.axes(0, 0)
    handles = []
    for label, (color, marker) in styles.items():
        x, y = points[np.array(labels) == label].T
        handles.append(ax.scatter(x, y, s=34, c=color, marker=marker, alpha=0.85, edgecolors="white", linewidths=0.4))
    ax.set_xlabel(f"first principal component, {100 * shares[0]:.0f} % of the variance")
    ax.set_ylabel(f"second principal component, {100 * shares[1]:.0f} % of the variance")
    ax.grid(True)
    ax.set_axisbelow(True)
    if not shares.any():
        ax.set_title("The latents of all windows are one point", fontweight="normal")
    ax.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns, title="label")
    return grid.figure


def centroid_distances(latents: np.ndarray, labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Distances between the centroids of labels, in latents divided by their standard deviation.

    Returns:
        The sorted labels, and (labels, labels) Euclidean distances divided by the square root of the number of varying
        dimensions. 1 is one standard deviation in each dimension.
    """
    names = sorted(set(labels))
    values = np.asarray(latents, np.float64)
    std = values.std(axis=0)
    varies = std**2 > MIN_VARIANCE
    values = values[:, varies] / std[varies]
    centroids = np.stack([values[np.array(labels) == name].mean(axis=0) for name in names])
    squares = np.square(centroids[:, None] - centroids[None]).sum(axis=2)
    return names, np.sqrt(squares / max(1, int(varies.sum())))


def draw_label_distances(latents: np.ndarray, labels: Sequence[str]) -> Figure:
    """A dendrogram (average linkage) of the labels, and the matrix of `centroid_distances` in the same order.

    Raises:
        ValueError: fewer than two labels.
    """
    names, distances = centroid_distances(latents, labels)
    if len(names) < 2:
        raise ValueError("one label has no distance to another")
    tree = hierarchy.linkage(distances[np.triu_indices(len(names), 1)], "average", optimal_ordering=True)
    dendrogram = hierarchy.dendrogram(tree, no_plot=True)
    order = dendrogram["leaves"]
    side = max(1.6, min(0.42, 5.2 / len(names)) * len(names))
    texts = [style.fit_width(names[i], 1.7, 8) for i in order]
    text_width = max(style.text_width(text, 8) for text in texts)
    grid = FigureGrid([1.3, side], [side], left=0.25, right=text_width + 1.0, bottom=text_width + 0.2, column_gaps=0.05)
    ax = grid.axes(0, 0)
    for positions, heights in zip(dendrogram["icoord"], dendrogram["dcoord"], strict=True):
        ax.plot(heights, positions, color=style.INK, linewidth=1)
    ax.set_ylim(10 * len(names), 0)  # a leaf takes 10 units in SciPy's dendrogram
    ax.set_xlim(1.05 * max(float(distances.max()), 1e-6), 0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_yticks([])
    ax.set_xticks([])
    image = _draw_matrix(grid.axes(0, 1), distances[np.ix_(order, order)], texts)
    grid.colorbar(image, 1, "standard deviations apart", offset=text_width + 0.15)
    return grid.figure


def _draw_matrix(ax: Axes, matrix: np.ndarray, names: list[str]) -> AxesImage:
    image = ax.imshow(matrix, cmap=style.AMOUNT_COLORS, vmin=0, aspect="auto")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelcolor=style.INK)
    ax.yaxis.tick_right()
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(range(len(names)), names, rotation=90)
    if len(names) <= MAX_LABELS_WITH_NUMBERS:
        for (row, column), value in np.ndenumerate(matrix):
            color = "white" if value > 0.6 * matrix.max() else style.INK
            if row != column:
                ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
    return image


def draw_dimension_kl(dimensions: pd.DataFrame) -> Figure:
    """The KL of each row of dimensions.parquet, sorted, with active dimensions highlighted; a plot for each level."""
    levels = sorted(set(dimensions["level"]))
    widths = [7.0 if len(levels) == 1 else 4.6] * len(levels)
    grid = FigureGrid(widths, [2.7], left=0.7, column_gaps=0.75, bottom=0.5)
    for column, level in enumerate(levels):
        rows = dimensions[dimensions["level"] == level].sort_values("kl", ascending=False, kind="stable")
        nats, active = rows["kl"].to_numpy(float), rows["active"].to_numpy(bool)
        edges = np.arange(len(nats) + 1) + 0.5
        ax = grid.axes(0, column)
        top = max(1.08 * nats.max(initial=0), 1e-3)
        if not active.all():
            ax.stairs(np.where(active, 0.0, top), edges, fill=True, color=style.GRID, label="not active")
            ax.stairs(np.where(active, 0.0, nats), edges, fill=True, color=style.MUTED)
        if active.any():
            ax.stairs(np.where(active, nats, 0.0), edges, fill=True, color=style.ACCENT, label="active")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(0, top)
        ax.set_title(f"{level or 'latent'}: {active.sum()} of {len(nats)} dimensions active, {nats.sum():.4g} nats")
        ax.set_xlabel("latent dimension, by its KL")
        ax.set_ylabel("KL in nats" if column == 0 else "")
        ax.legend(loc="upper right")
    return grid.figure


def draw_code_counts(codes: pd.DataFrame, perplexity: float | None) -> Figure:
    """The share of each row of codes.parquet, sorted, with lines for equal shares of all and of `perplexity` codes."""
    counts = np.sort(codes["count"].to_numpy(float))[::-1]
    shares = counts / max(1.0, counts.sum())
    grid = FigureGrid([7.0], [2.7], left=0.75, bottom=0.5)
    ax = grid.axes(0, 0)
    edges = np.arange(len(shares) + 1) + 0.5
    ax.stairs(100 * shares, edges, fill=True, color=style.ACCENT)
    ax.axhline(100 / len(shares), color=style.INK, linewidth=1, linestyle="--", label="even use of all codes")
    if perplexity:
        x, y = perplexity + 0.5, 100 / perplexity
        ax.plot([0.5, x], [y, y], color=style.ERROR, linewidth=1.4, label=f"perplexity {perplexity:.3g}")
        ax.plot([x, x], [0, y], color=style.ERROR, linewidth=1.4)
    ax.set_xlim(0.5, len(shares) + 0.5)
    ax.set_ylim(bottom=0)
    ax.set_title(f"{int((counts > 0).sum())} of {len(shares)} codes used")
    ax.set_xlabel("code, by its use")
    ax.set_ylabel("% of all choices")
    ax.legend(loc="upper right")
    return grid.figure
