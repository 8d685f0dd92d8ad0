"""The latent space of the test windows, seen along its two widest directions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from pipeline.figures import style

FLAT = 1e-12  # variance below which all latents are one point


def project(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PCA of (windows, L) latents, fitted on them.

    Returns:
        (windows, 2) coordinates, and (2,) shares of the variance; zeros where there is no such direction: one window,
        one latent dimension, or latents that do not vary.
    """
    points, shares = np.zeros((len(latents), 2)), np.zeros(2)
    kept = min(2, *latents.shape)
    values = np.asarray(latents, np.float64)
    if len(latents) > 1 and values.var(axis=0).sum() > FLAT:
        fitted = PCA(kept, svd_solver="full").fit(values)
        points[:, :kept] = fitted.transform(values)
        shares[:kept] = fitted.explained_variance_ratio_
    return points, shares


def latent_pca(latents: np.ndarray, labels: Sequence[str]) -> Figure:
    """Test windows by label on the first two principal components of their posterior means."""
    points, shares = project(latents)
    looks = style.label_styles(labels)
    columns = 1 + (len(looks) - 1) // 20
    picture = style.figure(7.2 + 1.6 * (columns - 1), 5)
    ax = picture.subplots()
    handles = []
    which = np.array(labels)
    for label, (color, marker) in looks.items():
        mine = points[which == label]
        handles.append(
            ax.scatter(
                mine[:, 0], mine[:, 1], s=28, c=color, marker=marker, alpha=0.85, edgecolors="white", linewidths=0.4
            )
        )
    ax.set_xlabel(f"first principal component, {shares[0]:.0%} of the variance")
    ax.set_ylabel(f"second principal component, {shares[1]:.0%} of the variance")
    ax.grid(True)
    ax.set_axisbelow(True)
    if not shares.any():
        ax.set_title("The latents of all windows are one point", fontweight="normal")
    names = [style.plain(label, 24) for label in looks]
    ax.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns, title="label")
    return picture
