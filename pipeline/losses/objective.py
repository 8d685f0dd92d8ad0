"""What a variant minimises: every term of its `loss` block, by name."""

from collections.abc import Callable
from math import log, pi

import torch
from torch import Tensor

from pipeline.losses import kl, reconstruction
from pipeline.losses.config import LossConfig
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal

Distance = Callable[[Tensor, Tensor], Tensor]  # (reconstruction, target), both (B, 1, *shape), to (B,)

LEAST_VARIANCE = 1e-2  # of encodings of length 1: below it an adaptive commitment grows no more


class Objective:
    """The loss of a batch, in nats per window.

    A reconstruction distance and further terms, each a mean over a window's values, add up to one distance with the
    weights of the loss block, which so count against the reconstruction's. The likelihood makes nats of the whole
    window of it, and `beta` weighs the KL the same whether a window has 15,000 values or 27,648.

    Args:
        config: the loss block.
        signal: what a window is.
    """

    def __init__(self, config: LossConfig, signal: Signal) -> None:
        self.config, self.signal = config, signal
        self.distance: Distance = reconstruction.make(config.reconstruction, signal)
        self.terms: dict[str, Distance] = {}
        self.weights: dict[str, float] = {}
        self.sigma = config.reconstruction.sigma if config.reconstruction.type == "gaussian" else None

    def distances(self, y: Tensor, x: Tensor, code: Code) -> dict[str, Tensor]:
        """Each term, unweighted, as (B,): "distance" is the reconstruction's. In 32 bits whatever `y` is in."""
        y, x = y.float(), x.float()
        if code.level is not None:  # a quiet window counts as much as a loud one
            y, x = y / code.level, x / code.level
        found = {"distance": self.distance(y, x)}
        return found | {name: term(y, x) for name, term in self.terms.items()}

    def combined(self, distances: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum of the terms."""
        extra = (weight * distances[name] for name, weight in self.weights.items())
        return sum(extra, start=distances["distance"])

    def variance(self, combined: Tensor) -> Tensor:
        """Of the likelihood, without a gradient. At 1/2 a squared error counts once; other distances take it too."""
        if self.sigma == "optimal":
            return combined.mean().detach().clamp_min(1e-8)
        return torch.as_tensor(0.5 if self.sigma is None else float(self.sigma) ** 2, device=combined.device)

    def nats(self, combined: Tensor) -> Tensor:
        """(B,) distances to (B,) nats per window.

        A Gaussian likelihood has the given sigma, or one fitted to the windows at hand, which then share it
        (sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202); any other distance is read as nats per value.
        """
        if self.sigma is None:
            return self.signal.values * combined
        variance = self.variance(combined)
        return 0.5 * self.signal.values * (combined / variance + torch.log(variance) + log(2 * pi))

    def divergence(self, code: Code) -> Tensor:
        """(B, units) nats of the KL by the estimator of the loss block."""
        return kl.divergence(code, self.config.kl.estimator)

    def regulariser(self, divergence: Tensor, code: Code, progress: float) -> Tensor:
        """What is added to the likelihood's nats: the weighted KL, and the bottleneck's own penalties.

        Args:
            divergence: (B, units) nats.
            code: of the batch.
            progress: share of the training that is done, 0 to 1.
        """
        if code.indices is None:
            return kl.cost(self.config.kl, divergence, code.sizes, progress)
        weight, nats = kl.weight(self.config.kl, progress), divergence.sum(1).mean()
        # The rate of codes has a gradient to their prior alone: whatever its weight is, the prior learns at weight 1.
        return weight * nats.detach() + (nats - nats.detach()) + self.signal.values * self._codebook(code)

    def _codebook(self, code: Code) -> Tensor | float:
        """Nats per value of the penalties of a codebook."""
        weights, penalties = self.config.codebook, code.penalties
        if weights is None:
            return 0.0
        commitment = weights.commitment * penalties["commitment"]
        if weights.adaptive:
            commitment = commitment / penalties["encoding_variance"].clamp_min(LEAST_VARIANCE)
        return commitment + weights.usage * penalties["usage"]
