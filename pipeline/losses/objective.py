"""What a variant minimises: every term of its `loss` block, by name."""

from math import log, pi

import torch
from torch import Tensor, nn

from pipeline.core import distributed
from pipeline.losses import bounds, kl, spectral
from pipeline.losses.adversarial import Adversary
from pipeline.losses.config import LossConfig
from pipeline.losses.reconstruction import Reconstruction
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal

LEAST_VARIANCE = 1e-2  # of encodings of length 1: below it an adaptive commitment grows no more


class Objective(nn.Module):
    """The loss of a batch, in nats per window.

    A reconstruction distance and further terms, each a mean over a window's values, add up to one distance with the
    weights of the loss block, which so count against the reconstruction's. The likelihood makes nats of the whole
    window of it, and `beta` weighs the KL the same whether a window has 15,000 values or 27,648.

    Args:
        config: the loss block.
        signal: what a window is to the networks: where they see it scaled (`level.WindowGain`), the scaled one.
    """

    def __init__(self, config: LossConfig, signal: Signal) -> None:
        super().__init__()
        self.config, self.signal = config, signal
        self.distance = Reconstruction(config.reconstruction, signal)
        self.spectral = spectral.make(signal) if config.spectral else None
        self.adversary = Adversary(signal) if config.adversarial else None
        self.weights = {"spectral": config.spectral, "range": config.range, "adversarial": config.adversarial}
        self.sigma = config.reconstruction.sigma if config.reconstruction.type == "gaussian" else None

    def distances(self, y: Tensor, x: Tensor, code: Code) -> dict[str, Tensor]:
        """Each term that has a weight, without it, as (B,): "distance" is the reconstruction's.

        In 32 bits, whatever `y` is in. The adversarial term is not among them: it means something else at every step,
        and cannot choose an epoch.
        """
        with torch.autocast(y.device.type, enabled=False):
            y, x = y.float(), x.float()
            outside = bounds.excess(y, self.signal.low) if self.config.range else None
            y, x = _scaled(y, x, code)
            found = {"distance": self.distance(y, x)}
            found |= {} if self.spectral is None else {"spectral": self.spectral(y, x)}
            return found | ({} if outside is None else {"range": outside})

    def discriminator_step(self, y: Tensor, x: Tensor, code: Code) -> dict[str, Tensor]:
        """One step of the discriminator: (B,) its own loss, and the model's term "adversarial"; {} without one."""
        if self.adversary is None:
            return {}
        with torch.autocast(y.device.type, enabled=False):
            y, x = _scaled(y.float(), x.float(), code)
            return {"discriminator": self.adversary.learn(y, x), "adversarial": self.adversary(y)}

    def combined(self, distances: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum of the terms."""
        extra = (weight * distances[name] for name, weight in self.weights.items() if name in distances)
        return sum(extra, start=distances["distance"])

    def variance(self, combined: Tensor) -> Tensor:
        """Of the likelihood, without a gradient; 1/2, at which a squared error counts once, if it is not Gaussian."""
        if self.sigma == "optimal":
            return distributed.all_reduce_mean(combined.detach().mean()).clamp_min(1e-8)
        fixed = 0.5 if self.sigma is None else float(self.sigma) ** 2
        return torch.full((), fixed, device=combined.device)  # made there: a copy from the host would wait

    def nats(self, combined: Tensor) -> Tensor:
        """(B,) distances to (B,) nats per window.

        A Gaussian likelihood has the given sigma, or one fitted to the windows of all ranks, which then share it
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


def _scaled(y: Tensor, x: Tensor, code: Code) -> tuple[Tensor, Tensor]:
    """As the networks see them: a quiet window counts as much as a loud one."""
    return (y, x) if code.level is None else (y / code.level, x / code.level)
