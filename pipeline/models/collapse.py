"""Is a model's latent in use? Measured in every epoch and in evaluation, by the same numbers and thresholds.

In evaluation also: does what is drawn from its prior differ from a single answer, and from silence?
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.models.bottlenecks import Bottleneck, Code

ACTIVE = 0.01  # variance of the posterior mean above which a latent dimension is in use (Burda et al. 2016, 1509.00519)
LEAST = {"active_share": 0.05, "variance_ratio": 0.2, "kl": 1.0, "perplexity_share": 0.25}
NO_VARIANCE = 1e-12
# Of what is drawn from the prior: a tenth of the data's power, or -10 dB.
FLAT = {"sample_variance_ratio": 0.1, "sample_time_ratio": 0.1, "sample_level_db": -10.0}


class LatentUsage:
    """Gathers, batch by batch over a split, what tells whether the latent is in use."""

    def __init__(self, bottleneck: Bottleneck) -> None:
        self.bottleneck = bottleneck
        self.spread = Spread(), Spread()  # of reconstructions, of data
        self.means: list[Tensor] = []
        self.counts = torch.zeros(bottleneck.codebook or 0, dtype=torch.long)

    def add(self, x: Tensor, y: Tensor, code: Code) -> None:
        """Windows, their reconstructions from the posterior's mean, and their code without noise."""
        for moments, values in zip(self.spread, (y, x), strict=True):
            moments.add(values)
        if code.indices is not None:
            used = code.indices.flatten()
            self.counts = self.counts.to(used.device).index_add(0, used, torch.ones_like(used))
        else:
            self.means.append(self.bottleneck.whiten(code.mean))

    def gather(self) -> None:
        """Take in what all ranks have added."""
        for moments in self.spread:
            moments.gather()
        self.counts = distributed.all_reduce_sum(self.counts)
        self.means = [distributed.all_gather(torch.cat(self.means))] if self.means else []

    def numbers(self) -> dict[str, float]:
        """Of all windows that were added.

        Returns:
            variance_ratio: variance over windows of the reconstructions over that of the data.
            active_units: latent dimensions in use, measured where the prior has variance 1, and their active_share;
                where there are levels, for each too. Not of a baseline.
            perplexity: of the use of the codebook, exp of its entropy, and its share of the codebook's size: only where
                there is one, and then instead of the active units.
        """
        data = self.spread[1].variance()
        if data < NO_VARIANCE:  # a single window, or all the same: nothing can be told
            return {}
        found = {"variance_ratio": self.spread[0].variance() / data}
        if self.bottleneck.baseline:
            return found
        if self.bottleneck.codebook is not None:
            share = self.counts.cpu().double() / int(self.counts.sum())
            perplexity = float(torch.special.entr(share).sum().exp())
            return found | {"perplexity": perplexity, "perplexity_share": perplexity / self.bottleneck.codebook}
        active = torch.cat(self.means).var(0, correction=0) > ACTIVE
        found |= {"active_units": float(active.sum()), "active_share": float(active.float().mean())}
        parts = active.split(list(self.bottleneck.levels.values())) if self.bottleneck.levels else ()
        for name, part in zip(self.bottleneck.levels, parts, strict=True):
            found |= {f"active_units_{name}": float(part.sum()), f"active_share_{name}": float(part.float().mean())}
        return found


class Spread:
    """Variance over windows at each place of a window, averaged over places: 0 for a model with one answer to all."""

    def __init__(self) -> None:
        self.count = 0
        self.total, self.square = torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """(B, ...) windows."""
        self.count += len(values)
        wide = (values.cpu() if values.device.type == "mps" else values).double()  # MPS has no doubles
        self.total = self.total.to(wide) + wide.sum(0)
        self.square = self.square.to(wide) + wide.square().sum(0)

    def gather(self) -> None:
        """Take in what all ranks have added."""
        self.count = sum(distributed.all_gather_object(self.count))
        self.total, self.square = distributed.all_reduce_sum(self.total), distributed.all_reduce_sum(self.square)

    def variance(self) -> float:
        """Of all windows that were added."""
        return float(torch.mean(self.square / self.count - (self.total / self.count) ** 2))


def reason(numbers: Mapping[str, float | None]) -> str | None:
    """Why a model counts as collapsed, or None.

    Args:
        numbers: any of active_share, variance_ratio, kl (nats per window) and perplexity_share, and active_share_<name>
            of levels; what a model has no value for is left out or None.
    """
    levels = [name for name in numbers if name.startswith("active_share_")]
    told = {
        "active_share": "{:.1%} of the latent units active",
        "variance_ratio": "reconstructions vary {:.2f} times as much as the data",
        "kl": "KL {:.2f} nats",
        "perplexity_share": "perplexity {:.1%} of the codebook",
        **{name: "{:.1%} of the units of " + name.removeprefix("active_share_") + " active" for name in levels},
    }
    return _below(LEAST | dict.fromkeys(levels, LEAST["active_share"]), numbers, told)


def flat(numbers: Mapping[str, float | None]) -> str | None:
    """Why the windows that a model draws from its prior count as flat, or None.

    Args:
        numbers: any of sample_variance_ratio, sample_time_ratio and sample_level_db, as `evaluation.generation` has
            them; what a model has no value for is left out or None.
    """
    told = {
        "sample_variance_ratio": "samples differ {:.2f} times as much as the data",
        "sample_time_ratio": "samples vary over time {:.2f} times as much as the data",
        "sample_level_db": "samples at {:.1f} dB of the data's level",
    }
    return _below(FLAT, numbers, told)


def _below(least: Mapping[str, float], numbers: Mapping[str, float | None], told: Mapping[str, str]) -> str | None:
    """What is said of each number below its threshold; one that is no number is."""
    known = {name: value for name in least if (value := numbers.get(name)) is not None}
    return "; ".join(told[name].format(value) for name, value in known.items() if not value >= least[name]) or None
