"""How the test windows use the latent space: KL and variance by dimension, principal components, codes."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.losses import kl
from pipeline.models.bottlenecks import Bottleneck, Code
from pipeline.models.collapse import ACTIVE_UNIT_VARIANCE, LatentUsage
from pipeline.models.priors import GaussianMixture

VARIANCE_PERCENTS = (80, 90, 95, 99)
ROUNDING = 1e-12


class DimensionKL:
    """Mean KL of each latent dimension over batches of posteriors.

    In a hierarchy, the prior of a lower level follows from the mean of the upper level.
    """

    def __init__(self, bottleneck: Bottleneck) -> None:
        # The KL from a mixture is no sum over dimensions; a codebook and a baseline have no KL by dimension.
        is_mixture = isinstance(getattr(bottleneck, "learned", None), GaussianMixture)
        self.is_defined = not is_mixture and bottleneck.codebook_size is None and not bottleneck.baseline
        self.total = torch.zeros(bottleneck.latent_dims, dtype=torch.float64)
        self.count = 0

    def add(self, code: Code) -> None:
        """Add the code of a batch, without noise."""
        if self.is_defined:
            self.total += kl.divergence(code).sum(0).cpu().double()
            self.count += len(code.mean)

    def mean(self) -> np.ndarray:
        """(latent_dims,) nats; NaN where the KL by dimension is not defined."""
        nats: np.ndarray = (self.total / self.count if self.is_defined else self.total * torch.nan).numpy()
        return nats


def whitened_means(usage: LatentUsage, means: np.ndarray) -> np.ndarray:
    """(windows, latent_dims) in coordinates with a standard normal prior; with a codebook, `means` unchanged."""
    return torch.cat(usage.means).cpu().numpy() if usage.means else means


def variance_numbers(means: np.ndarray) -> dict[str, float | None]:
    """How far latents (windows, D) vary, and in how many directions; None if nothing varies.

    Returns:
        latent_std: standard deviation over windows, averaged over dimensions.
        dims_80, dims_90, dims_95, dims_99: number of principal components with this percentage of the variance, at most
            the number of windows minus 1.
    """
    numbers: dict[str, float | None] = dict.fromkeys(("latent_std", *(f"dims_{p}" for p in VARIANCE_PERCENTS)))
    if not means.shape[1] or not np.isfinite(means).all():
        return numbers
    centred = means.astype(np.float64) - means.mean(axis=0, dtype=np.float64)
    numbers["latent_std"] = float(centred.std(axis=0).mean())
    variances = np.square(np.linalg.svd(centred, compute_uv=False))
    if variances.sum() > 0:
        explained = np.cumsum(variances) / variances.sum()
        for percent in VARIANCE_PERCENTS:
            numbers[f"dims_{percent}"] = float(np.argmax(explained >= percent / 100 - ROUNDING) + 1)
    return numbers


def dimensions_table(bottleneck: Bottleneck, means: np.ndarray, nats: np.ndarray) -> pd.DataFrame | None:
    """dimensions.parquet, a row for each latent dimension; None for a baseline or a codebook.

    Columns: level ("" without a hierarchy), dimension (index in the latent of all levels), kl (nats, mean over windows;
    null if not defined), variance (of `means`, over windows) and active (a variance above `ACTIVE_UNIT_VARIANCE`).
    """
    if bottleneck.baseline or bottleneck.codebook_size is not None:
        return None
    levels = bottleneck.levels or {"": bottleneck.latent_dims}
    variance = means.var(axis=0, dtype=np.float64)
    return pd.DataFrame(
        {
            "level": np.repeat(list(levels), list(levels.values())),
            "dimension": np.arange(bottleneck.latent_dims),
            "kl": nats,
            "variance": variance,
            "active": variance > ACTIVE_UNIT_VARIANCE,
        }
    )


def codes_table(counts: Tensor) -> pd.DataFrame | None:
    """codes.parquet: code, and its count over all positions of the windows; None without a codebook."""
    if not len(counts):
        return None
    return pd.DataFrame({"code": np.arange(len(counts)), "count": counts.cpu().numpy()})
