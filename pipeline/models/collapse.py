"""Decide whether a variant counts as collapsed, and whether its samples count as flat.

A variant is flagged as collapsed if any of its metrics is below its threshold in `COLLAPSED`, or is NaN; its samples
from the prior are flagged as flat by `FLAT`. Training checks collapse in every epoch, evaluation checks both.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.models.bottlenecks import Bottleneck, Code

# The smallest healthy value of each metric, and the message if the metric is below it.
COLLAPSED = {
    "active_share": (0.05, "{:.1%} of the latent units active"),
    "variance_ratio": (0.2, "reconstructions vary {:.2f} times as much as the data"),
    "kl": (1.0, "KL {:.2f} nats"),  # per window
    "perplexity_share": (0.25, "perplexity {:.1%} of the codebook"),
}
FLAT = {
    "sample_variance_ratio": (0.1, "samples differ {:.2f} times as much as the data"),
    "sample_time_ratio": (0.1, "samples vary over time {:.2f} times as much as the data"),
    "sample_level_db": (-10.0, "samples at {:.1f} dB of the data's level"),
}
ACTIVE_UNIT_VARIANCE = 0.01  # a unit is active if its posterior mean varies more (Burda et al. 2016, arXiv 1509.00519)
MIN_DATA_VARIANCE = 1e-12


def why_collapsed(metrics: Mapping[str, float | None]) -> str | None:
    """Why a variant is flagged as collapsed; None if it is not.

    `metrics` has keys of `COLLAPSED`, and `active_share_<level>` for each level of a hierarchy. A metric that the
    variant does not have is left out or None.
    """
    levels = [name.removeprefix("active_share_") for name in metrics if name.startswith("active_share_")]
    minimum = COLLAPSED["active_share"][0]
    of_levels = {f"active_share_{level}": (minimum, f"{{:.1%}} of the units of {level} active") for level in levels}
    return _below(COLLAPSED | of_levels, metrics)


def why_flat(metrics: Mapping[str, float | None]) -> str | None:
    """Why samples from the prior are flagged as flat; None if they are not. `metrics` has keys of `FLAT`."""
    return _below(FLAT, metrics)


def _below(thresholds: Mapping[str, tuple[float, str]], metrics: Mapping[str, float | None]) -> str | None:
    messages = []
    for name, (minimum, message) in thresholds.items():
        value = metrics.get(name)
        if value is not None and not value >= minimum:  # true for NaN too
            messages.append(message.format(value))
    return "; ".join(messages) or None


class LatentUsage:
    """Measures how much of the latent a model uses. Windows are added batch by batch."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        self.bottleneck = bottleneck
        self.reconstructions, self.data = WindowVariance(), WindowVariance()
        self.means: list[Tensor] = []
        self.counts = torch.zeros(bottleneck.codebook_size or 0, dtype=torch.long)

    def add(self, x: Tensor, y: Tensor, code: Code) -> None:
        """Add windows `x`, reconstructions `y` from the posterior mean, and the code, encoded without sampling."""
        self.reconstructions.add(y)
        self.data.add(x)
        if code.indices is None:
            self.means.append(self.bottleneck.whiten(code.mean))
        else:
            indices = code.indices.flatten()
            self.counts = self.counts.to(indices.device).index_add(0, indices, torch.ones_like(indices))

    def gather(self) -> None:
        """Add what the other ranks have added."""
        self.reconstructions.gather()
        self.data.gather()
        self.counts = distributed.all_reduce_sum(self.counts)
        self.means = [distributed.all_gather(torch.cat(self.means))] if self.means else []

    def metrics(self) -> dict[str, float]:
        """Metrics over all added windows; empty if the data does not vary, as with a single window.

        - variance_ratio: variance of the reconstructions divided by the variance of the data.
        - active_units, active_share: number and share of the latent units that are active, in coordinates in which the
          prior has variance 1. A hierarchy has them per level too; a baseline and a codebook have none.
        - perplexity, perplexity_share, of a codebook: exp of the entropy of the code usage; its ratio to the size.
        """
        variance = self.data.variance()
        if variance < MIN_DATA_VARIANCE:
            return {}
        metrics = {"variance_ratio": self.reconstructions.variance() / variance}
        if self.bottleneck.baseline:
            return metrics
        if self.bottleneck.codebook_size is not None:
            usage = self.counts.cpu().double() / int(self.counts.sum())
            perplexity = float(torch.special.entr(usage).sum().exp())
            share = perplexity / self.bottleneck.codebook_size
            return metrics | {"perplexity": perplexity, "perplexity_share": share}
        active = torch.cat(self.means).var(0, correction=0) > ACTIVE_UNIT_VARIANCE
        units = {"": active}
        if self.bottleneck.levels:
            parts = active.split(list(self.bottleneck.levels.values()))
            units |= {f"_{level}": part for level, part in zip(self.bottleneck.levels, parts, strict=True)}
        for suffix, part in units.items():
            metrics[f"active_units{suffix}"] = float(part.sum())
            metrics[f"active_share{suffix}"] = float(part.float().mean())
        return metrics


class WindowVariance:
    """Per-value variance over windows, averaged over the values. It is 0 if all windows are equal."""

    def __init__(self) -> None:
        self.count = 0
        self.total, self.square = torch.zeros(()), torch.zeros(())

    def add(self, windows: Tensor) -> None:
        """Add (B, ...) windows."""
        self.count += len(windows)
        values = (windows.cpu() if windows.device.type == "mps" else windows).double()  # MPS has no doubles
        self.total = self.total.to(values) + values.sum(0)
        self.square = self.square.to(values) + values.square().sum(0)

    def gather(self) -> None:
        """Add what the other ranks have added."""
        self.count = sum(distributed.all_gather_object(self.count))
        self.total, self.square = distributed.all_reduce_sum(self.total), distributed.all_reduce_sum(self.square)

    def variance(self) -> float:
        """The variance over all added windows."""
        return float(torch.mean(self.square / self.count - (self.total / self.count) ** 2))
