"""The adversarial terms: discriminators that are trained with the model."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from pipeline.core import distributed
from pipeline.losses.config import AdversarialConfig
from pipeline.losses.discriminators import DISCRIMINATORS
from pipeline.models.signal import Signal

MIN_FEATURE = 1e-6  # smallest mean magnitude by which a distance of features is divided


class Adversary(nn.Module):
    """Discriminators with hinge losses and their own optimiser.

    The model's loss, relu(1 - score), is never negative (as in EnCodec, arXiv 2210.13438). It and the feature matching
    are multiplied by the variance of the data: the scale of a squared error.
    """

    def __init__(self, config: AdversarialConfig, signal: Signal) -> None:
        super().__init__()
        networks = [network for name in config.types for network in DISCRIMINATORS[name](signal, config.width)]
        self.discriminators = nn.ModuleList(networks)
        self.variance, self.matches_features = signal.variance, config.feature_matching > 0
        first, second = config.betas
        self.optimiser = torch.optim.AdamW(
            self.discriminators.parameters(), config.learning_rate, betas=(first, second), fused=True
        )

    def get_extra_state(self) -> dict[str, Any]:
        """The state of the optimiser, so that `state_dict` has all that a checkpoint needs."""
        return self.optimiser.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """See `get_extra_state`."""
        self.optimiser.load_state_dict(state)

    def train_step(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminators on the global batch of (B, 1, *shape) each; return the (B,) loss before it."""
        windows = torch.cat((target, reconstruction.detach()))
        losses = []
        for discriminator in self.discriminators:
            original, reconstructed = discriminator(windows)[-1].flatten(1).chunk(2)
            losses.append((functional.relu(1 - original) + functional.relu(1 + reconstructed)).mean(1))
        loss = torch.stack(losses).mean(0)
        self.optimiser.zero_grad(set_to_none=True)
        loss.mean().backward()
        distributed.average_gradients(self.discriminators.parameters())
        # As in the training loop: skip a step whose gradient is not finite, without waiting for the device.
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.discriminators.parameters() if p.grad is not None])
        self.optimiser.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        return loss.detach()

    def forward(self, reconstruction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The model's terms for reconstructions (B, 1, *shape), (B,) each; the discriminators get no gradient.

        "adversarial" is the mean over discriminators of the hinge loss. "feature_matching", if it has a weight, is the
        mean absolute distance of each layer's features from those of the target, relative to the mean magnitude of the
        targets' features over the global batch (as in EnCodec); the mean over layers and discriminators.
        """
        self.discriminators.requires_grad_(False)
        # With cached weights: spectral normalisation changes them slightly each time that they are computed.
        with parametrize.cached():
            outputs = [discriminator(reconstruction) for discriminator in self.discriminators]
            scores = torch.stack([functional.relu(1 - layers[-1]).flatten(1).mean(1) for layers in outputs])
            terms = {"adversarial": self.variance * scores.mean(0)}
            if self.matches_features:
                y = [features for layers in outputs for features in layers[:-1]]
                x = [features for discriminator in self.discriminators for features in discriminator(target)[:-1]]
                terms["feature_matching"] = self.variance * _feature_distance(y, x)
        self.discriminators.requires_grad_(True)
        return terms


def _feature_distance(y: list[Tensor], x: list[Tensor]) -> Tensor:
    """(B,) mean over layers of the relative distance of features (B, channels, ...)."""
    distances = torch.stack([(a - b).abs().flatten(1).mean(1) for a, b in zip(y, x, strict=True)])
    magnitudes = distributed.all_reduce_mean(torch.stack([b.abs().mean() for b in x])).clamp_min(MIN_FEATURE)
    return (distances / magnitudes[:, None]).mean(0)
