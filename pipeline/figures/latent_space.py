"""The latent space of the test windows: along its two widest directions, and how far apart the labels lie in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from pipeline.figures import style
from pipeline.figures.grid import Sheet

FLAT = 1e-12  # variance below which all latents are one point
LEGEND_ROWS = 22
NUMBERED = 12  # labels up to which the matrix of distances holds numbers


def project(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PCA of (windows, L) latents, fitted on them.

    Returns:
        (windows, 2) coordinates, and (2,) shares of the variance; zeros where there is no such direction: one window,
        one latent dimension, or latents that do not vary.
    """
    points, shares = np.zeros((len(latents), 2)), np.zeros(2)
    values = np.asarray(latents, np.float64)
    if len(latents) < 2 or values.var(axis=0).sum() <= FLAT:
        return points, shares
    left, sizes, right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    kept = min(2, len(sizes))
    # The largest loading is positive: else a direction's sign would be left to the library of linear algebra.
    largest = right[range(kept), np.abs(right[:kept]).argmax(axis=1)]
    points[:, :kept] = left[:, :kept] * sizes[:kept] * np.sign(largest)
    shares[:kept] = sizes[:kept] ** 2 / np.sum(sizes**2)
    return points, shares


def latent_pca(latents: np.ndarray, labels: Sequence[str]) -> Figure:
    """Test windows by label on the first two principal components of their posterior means."""
    points, shares = project(latents)
    looks = style.label_styles(labels)
    names = [style.fit(label, 1.9, 8) for label in looks]
    columns = 1 + (len(looks) - 1) // LEGEND_ROWS
    legend = 0.55 + max((style.width(text, 8) for text in names), default=0.0)
    sheet = Sheet([5.2], [4.4], left=0.75, right=columns * legend, top=0.3, bottom=0.55)
    ax = sheet.axes(0, 0)
    which = np.array(labels)
    handles = []
    for label, (color, marker) in looks.items():
        mine = points[which == label]
        drawn: dict[str, Any] = {"c": color, "marker": marker, "edgecolors": "white", "linewidths": 0.4}
        handles.append(ax.scatter(mine[:, 0], mine[:, 1], s=34, alpha=0.85, **drawn))
    ax.set_xlabel(f"first principal component, {100 * shares[0]:.0f} % of the variance")
    ax.set_ylabel(f"second principal component, {100 * shares[1]:.0f} % of the variance")
    ax.grid(True)
    ax.set_axisbelow(True)
    if not shares.any():
        ax.set_title("The latents of all windows are one point", fontweight="normal")
    ax.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns, title="label")
    return sheet.picture


def distances(latents: np.ndarray, labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """How far apart the labels' centroids lie, each latent dimension divided by its standard deviation.

    Returns:
        The labels, sorted, and (labels, labels) Euclidean distances over the square root of the number of dimensions
        that vary: 1 is one standard deviation in each.
    """
    names = sorted(set(labels))
    values = np.asarray(latents, np.float64)
    spread = values.std(axis=0)
    varies = spread**2 > FLAT
    values = values[:, varies] / spread[varies]
    which = np.array(labels)
    centroids = np.stack([values[which == label].mean(axis=0) for label in names])
    apart = np.square(centroids[:, None] - centroids[None]).sum(axis=2)
    return names, np.sqrt(apart / max(1, int(varies.sum())))


def label_distances(latents: np.ndarray, labels: Sequence[str]) -> Figure:
    """The matrix of `distances` in the order of the dendrogram (average linkage) that stands beside it.

    Raises:
        ValueError: fewer than two labels.
    """
    names, apart = distances(latents, labels)
    if len(names) < 2:
        raise ValueError("one label has no distance to another")
    tree = hierarchy.linkage(apart[np.triu_indices(len(names), 1)], "average", optimal_ordering=True)
    drawn = hierarchy.dendrogram(tree, no_plot=True)
    order = drawn["leaves"]
    cell = min(0.42, 5.2 / len(names))
    side = max(1.6, cell * len(names))
    texts = [style.fit(names[i], 1.7, 8) for i in order]
    longest = max(style.width(text, 8) for text in texts)
    sheet = Sheet([1.3, side], [side], left=0.25, right=longest + 1.0, bottom=longest + 0.2, across=0.05)
    ax = sheet.axes(0, 0)
    for across, heights in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        ax.plot(heights, across, color=style.INK, linewidth=1)
    ax.set_ylim(10 * len(names), 0)  # a leaf takes 10 units in SciPy's dendrogram
    ax.set_xlim(1.05 * max(float(apart.max()), 1e-6), 0)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_yticks([])
    ax.set_xticks([])
    beside = sheet.axes(0, 1)
    matrix = apart[np.ix_(order, order)]
    image = beside.imshow(matrix, cmap=style.AMOUNTS, vmin=0, aspect="auto")
    beside.spines[:].set_visible(False)
    beside.tick_params(length=0, labelcolor=style.INK)
    beside.yaxis.tick_right()
    beside.set_yticks(range(len(names)), texts)
    beside.set_xticks(range(len(names)), texts, rotation=90)
    if len(names) <= NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            color = "white" if value > 0.6 * matrix.max() else style.INK
            if row != column:
                beside.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=color)
    sheet.bar(image, 1, "standard deviations apart", offset=longest + 0.15)
    return sheet.picture
