"""The adversarial term: a patch discriminator that is trained with the model."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.core import distributed
from pipeline.models.networks.layers import Standardise
from pipeline.models.signal import Signal

WIDTHS = (1, 16, 32, 64)
LEARNING_RATE = 2e-4


class PatchDiscriminator(nn.Module):
    """Patch discriminator (Isola et al. 2017, arXiv 1611.07004) with hinge losses and its own optimiser.

    It has 2-D convolutions for a mel, 1-D for a waveform, with spectral normalisation (Miyato et al. 2018, 1802.05957).
    A score above 0 means that a patch looks original. The model's loss, relu(1 - score), is never negative (as in
    EnCodec, arXiv 2210.13438). It is multiplied by the variance of the data: the scale of a squared error.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__()
        mel = signal.kind == "mel"
        convolution: type[nn.Conv1d | nn.Conv2d] = nn.Conv2d if mel else nn.Conv1d
        kernel, stride = (4, 2) if mel else (16, 4)
        layers: list[nn.Module] = [Standardise(signal)]
        for width, channels in itertools.pairwise(WIDTHS):
            layers.append(spectral_norm(convolution(width, channels, kernel, stride, kernel // 2)))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(spectral_norm(convolution(WIDTHS[-1], 1, 3, padding=1)))
        self.discriminator = nn.Sequential(*layers)
        self.variance = signal.variance
        self.optimiser = torch.optim.AdamW(self.discriminator.parameters(), LEARNING_RATE, betas=(0.5, 0.9), fused=True)

    def get_extra_state(self) -> dict[str, Any]:
        """The state of the optimiser, so that `state_dict` has all that a checkpoint needs."""
        return self.optimiser.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """See `get_extra_state`."""
        self.optimiser.load_state_dict(state)

    def train_step(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator on the global batch of (B, 1, *shape) each; return the (B,) loss before it."""
        scores = self.discriminator(torch.cat((target, reconstruction.detach())))
        original, reconstructed = scores.flatten(1).chunk(2)
        loss = (functional.relu(1 - original) + functional.relu(1 + reconstructed)).mean(1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.mean().backward()
        distributed.average_gradients(self.discriminator.parameters())
        # As in the training loop: skip a step whose gradient is not finite, without waiting for the device.
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.discriminator.parameters() if p.grad is not None])
        self.optimiser.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        return loss.detach()

    def forward(self, reconstruction: Tensor) -> Tensor:
        """(B,) the model's loss for reconstructions (B, 1, *shape)."""
        scores = self.discriminator(reconstruction)
        return self.variance * functional.relu(1 - scores).flatten(1).mean(1)
