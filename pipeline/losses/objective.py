"""The objective of a variant: all terms of its `loss` block."""

import copy
from dataclasses import replace
from math import log, pi

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.core import distributed
from pipeline.losses import kl
from pipeline.losses.adversarial import Adversary
from pipeline.losses.config import LossConfig
from pipeline.losses.reconstruction import ReconstructionDistance
from pipeline.losses.spectral import spectral_distance
from pipeline.models.bottlenecks import Code
from pipeline.models.signal import Signal

MIN_VARIANCE = 1e-2  # smallest variance of encodings of length 1; limits an adaptive commitment
RANGE_MARGIN = 0.1  # relative to the length of the range


class Objective(nn.Module):
    """The loss of a batch, in nats per window.

    The reconstruction distance and further terms, each a mean over the values of a window, are combined with the
    weights of the loss block. The likelihood turns the result into nats of the whole window, so `beta` has the same
    meaning for any window size. A new term is a weight in `LossConfig`, here in `weights`, and a line in `distances`:

        class LossConfig(Section):
            energy: float = Field(0.0, ge=0, description="...")
        ...
            self.weights = {..., "energy": config.energy}
        ...
            if self.config.energy:
                terms["energy"] = energy_distance(y, x)  # (B,)

    `signal` describes the windows that the networks see, which `WindowGain` may have scaled.
    """

    def __init__(self, config: LossConfig, signal: Signal) -> None:
        super().__init__()
        self.config, self.signal = config, signal
        self.distance = ReconstructionDistance(config.reconstruction, signal)
        self.spectral = spectral_distance(config.spectral.type, signal) if config.spectral.weight else None
        # The name of this attribute is part of the keys of checkpoints.
        self.adversary = Adversary(config.adversarial, signal) if config.adversarial.weight else None
        self.weights = {
            "spectral": config.spectral.weight,
            "range": config.range,
            "adversarial": config.adversarial.weight,
            "feature_matching": config.adversarial.feature_matching,
        }
        self.sigma = config.reconstruction.sigma if config.reconstruction.type == "gaussian" else None

    def for_shape(self, shape: tuple[int, ...]) -> "Objective":
        """The same losses, with the same discriminators, for windows of another shape."""
        other = copy.copy(self)
        other.signal = replace(self.signal, shape=shape)
        return other

    def distances(self, y: Tensor, x: Tensor, code: Code) -> dict[str, Tensor]:
        """The terms with a weight above 0, unweighted, (B,) each. "distance" is the reconstruction distance.

        They are computed in 32 bits. The adversarial terms are not included: they change their meaning with every step,
        so they cannot choose the best epoch.
        """
        with torch.autocast(y.device.type, enabled=False):
            y, x = y.float(), x.float()
            outside = range_penalty(y, self.signal.low) if self.config.range else None
            y, x = _scaled(y, x, code)
            terms = {"distance": self.distance(y, x)}
            if self.spectral is not None:
                terms["spectral"] = self.spectral(y, x)
            if outside is not None:
                terms["range"] = outside
            return terms

    def is_adversarial(self, progress: float) -> bool:
        """Whether there are discriminators and they train at a share of the training, 0 to 1."""
        return self.adversary is not None and progress >= self.config.adversarial.start

    def discriminator_step(self, y: Tensor, x: Tensor, code: Code, progress: float) -> dict[str, Tensor]:
        """Train the discriminators for one step. Their loss "discriminator" and the model's adversarial terms, (B,).

        They are zero before the adversarial phase, and there are none without discriminators.
        """
        if self.adversary is None:
            return {}
        if not self.is_adversarial(progress):
            names = ("discriminator", "adversarial", *["feature_matching"] * self.adversary.matches_features)
            return dict.fromkeys(names, y.new_zeros(len(y), dtype=torch.float32))
        with torch.autocast(y.device.type, enabled=False):
            y, x = _scaled(y.float(), x.float(), code)
            return {"discriminator": self.adversary.train_step(y, x), **self.adversary(y, x)}

    def combine(self, distances: dict[str, Tensor]) -> Tensor:
        """(B,) weighted sum of the terms."""
        extra = (weight * distances[name] for name, weight in self.weights.items() if name in distances)
        return sum(extra, start=distances["distance"])

    def likelihood_variance(self, combined: Tensor) -> Tensor:
        """Variance of the likelihood, without gradient. Without a Gaussian likelihood it is 1/2."""
        if self.sigma == "optimal":
            return distributed.all_reduce_mean(combined.detach().mean()).clamp_min(1e-8)
        fixed = 0.5 if self.sigma is None else float(self.sigma) ** 2
        return torch.full((), fixed, device=combined.device)  # a copy from the host would wait for the device

    def nll(self, combined: Tensor) -> Tensor:
        """(B,) negative log likelihood in nats per window, of combined distances (B,).

        A Gaussian likelihood has the given sigma, or one fitted to the global batch (sigma-VAE, Rybkin et al. 2021,
        arXiv 2006.13202). Any other distance counts as nats per value.
        """
        if self.sigma is None:
            return self.signal.size * combined
        variance = self.likelihood_variance(combined)
        return 0.5 * self.signal.size * (combined / variance + torch.log(variance) + log(2 * pi))

    def divergence(self, code: Code) -> Tensor:
        """(B, units) KL in nats, by the estimator of the loss block."""
        return kl.divergence(code, self.config.kl.estimator)

    def regulariser(self, divergence: Tensor, code: Code, progress: float) -> Tensor:
        """The weighted KL, from (B, units) nats, plus the codebook penalties: a scalar. `progress` is in [0, 1]."""
        if code.indices is None:
            return kl.loss_term(self.config.kl, divergence, code.level_sizes, progress)
        weight, nats = kl.weight_at(self.config.kl, progress), divergence.sum(1).mean()
        # Only the prior over the codes gets a gradient of the KL: it always learns with weight 1.
        return weight * nats.detach() + (nats - nats.detach()) + self.signal.size * self._codebook_penalty(code)

    def _codebook_penalty(self, code: Code) -> Tensor | float:
        """The weighted codebook penalties, in nats per value."""
        weights, penalties = self.config.codebook, code.penalties
        if weights is None:
            return 0.0
        commitment = weights.commitment * penalties["commitment"]
        if weights.adaptive:
            commitment = commitment / penalties["encoding_variance"].clamp_min(MIN_VARIANCE)
        return commitment + weights.usage * penalties["usage"] if weights.usage else commitment


def range_penalty(reconstruction: Tensor, low: float) -> Tensor:
    """(B,) mean squared distance of (B, 1, *shape) from [low, 1] with a margin of 10 % (after system A)."""
    margin = RANGE_MARGIN * (1 - low)
    excess = functional.relu(reconstruction - 1 - margin) + functional.relu(low - margin - reconstruction)
    return excess.square().flatten(1).mean(1)


def _scaled(y: Tensor, x: Tensor, code: Code) -> tuple[Tensor, Tensor]:
    """Windows divided by their gain, so that a quiet window counts as much as a loud one."""
    return (y, x) if code.gain is None else (y / code.gain, x / code.gain)
