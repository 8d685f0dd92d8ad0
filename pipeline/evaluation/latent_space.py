"""What a latent is used for: which dimensions hold information, how many directions it varies in, which codes occur."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.losses import kl
from pipeline.models.bottlenecks import Bottleneck, Code
from pipeline.models.collapse import ACTIVE, LatentUsage
from pipeline.models.priors.base import GaussianMixture

SHARES = (80, 90, 95, 99)  # per cent of the variance


@dataclass(frozen=True)
class Space:
    """The latent space of a model, as the test windows use it.

    Attributes:
        numbers: see `numbers`.
        tables: dimensions or codes, see there: which of them a model has.
    """

    numbers: dict[str, float | None]
    tables: dict[str, pd.DataFrame]


class Nats:
    """Gathers, batch by batch, the mean KL of each latent dimension from the posteriors (codes without noise).

    For a dimension of a lower level of a hierarchy it is that under the prior which the mean of the upper one gives.
    """

    def __init__(self, bottleneck: Bottleneck) -> None:
        # From a mixture, the KL of a vector is no sum over its dimensions; a codebook and a baseline have none.
        plain = not isinstance(getattr(bottleneck, "learned", None), GaussianMixture)
        self.known = plain and bottleneck.codebook is None and not bottleneck.baseline
        self.total = torch.zeros(bottleneck.latent_dims, dtype=torch.float64)
        self.count = 0

    def add(self, code: Code) -> None:
        """The code of a batch."""
        if self.known:
            self.total += kl.divergence(code).sum(0).cpu().double()
            self.count += len(code.mean)

    def mean(self) -> np.ndarray:
        """(latent_dims,) nats; NaN where it cannot be told by dimension."""
        found: np.ndarray = (self.total / self.count if self.known else self.total * torch.nan).numpy()
        return found


def analyse(use: LatentUsage, nats: Nats, latents: np.ndarray) -> Space:
    """What was gathered of all windows.

    Args:
        use: of their codes.
        nats: likewise.
        latents: (windows, latent_dims) their posterior means.
    """
    means = whitened(use, latents)
    found = {"dimensions": dimensions(use.bottleneck, means, nats.mean()), "codes": codes(use.counts)}
    return Space(numbers(means), {name: table for name, table in found.items() if table is not None})


def numbers(means: np.ndarray) -> dict[str, float | None]:
    """How far and in how many directions latents spread.

    Args:
        means: (windows, D) posterior means, in coordinates in which the prior is standard normal.

    Returns:
        latent_std: standard deviation over windows, averaged over dimensions.
        dims_80, dims_90, dims_95, dims_99: principal components that hold so many per cent of the variance; there are
            no more of them than windows less one.

        None where nothing varies.
    """
    found: dict[str, float | None] = dict.fromkeys(("latent_std", *(f"dims_{share}" for share in SHARES)))
    if not means.shape[1] or not np.isfinite(means).all():
        return found
    centred = means.astype(np.float64) - means.mean(axis=0, dtype=np.float64)
    found["latent_std"] = float(centred.std(axis=0).mean())
    variances = np.square(np.linalg.svd(centred, compute_uv=False))
    if variances.sum() > 0:
        explained = np.cumsum(variances) / variances.sum()
        for share in SHARES:
            found[f"dims_{share}"] = float(np.argmax(explained >= share / 100 - 1e-12) + 1)
    return found


def whitened(use: LatentUsage, latents: np.ndarray) -> np.ndarray:
    """(windows, latent_dims) posterior means where the prior is standard normal; as they are if they are codes."""
    return torch.cat(use.means).cpu().numpy() if use.means else latents


def dimensions(bottleneck: Bottleneck, means: np.ndarray, nats: np.ndarray) -> pd.DataFrame | None:
    """A row of dimensions.parquet for each latent dimension; None of a baseline or a codebook.

    Args:
        bottleneck: of the model.
        means: (windows, latent_dims) posterior means, in coordinates in which the prior is standard normal.
        nats: (latent_dims,) as `Nats` has them.

    Returns:
        level ("" without a hierarchy), dimension (its place in the whole latent), kl (nats, mean over windows; null
        where it cannot be told by dimension), variance (over windows, of the mean) and active (a variance above
        `collapse.ACTIVE`).
    """
    if bottleneck.baseline or bottleneck.codebook is not None:
        return None
    levels = bottleneck.levels or {"": bottleneck.latent_dims}
    variance = means.var(axis=0, dtype=np.float64)
    return pd.DataFrame(
        {
            "level": np.repeat(list(levels), list(levels.values())),
            "dimension": np.arange(bottleneck.latent_dims),
            "kl": nats,
            "variance": variance,
            "active": variance > ACTIVE,
        }
    )


def codes(counts: Tensor) -> pd.DataFrame | None:
    """Rows of codes.parquet: code, and its count over all positions of the windows; None without a codebook."""
    if not len(counts):
        return None
    return pd.DataFrame({"code": np.arange(len(counts)), "count": counts.cpu().numpy()})
