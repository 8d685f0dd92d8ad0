"""An adversarial term: a patch discriminator that learns beside the model to tell reconstructions from originals."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.core import distributed
from pipeline.models.networks.heads import Standardise
from pipeline.models.signal import Signal

WIDTHS = (1, 16, 32, 64)
LEARNING_RATE = 2e-4


class Adversary(nn.Module):
    """Patch discriminator (Isola et al. 2017, arXiv 1611.07004) under hinge losses, with an optimiser of its own.

    2-D convolutions over a mel, 1-D over a waveform, with spectral normalisation (Miyato et al. 2018, 1802.05957).
    A score is above 0 for a patch that looks original. The model's loss, relu(1 - score), is never negative (as in
    EnCodec, arXiv 2210.13438); it is multiplied by the data's variance, to stand beside a squared error.

    Args:
        signal: what a window is.
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
        """The optimiser's state, so that `state_dict` holds all that a checkpoint needs."""
        return self.optimiser.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """See `get_extra_state`."""
        self.optimiser.load_state_dict(state)

    def learn(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator on (B, 1, *shape) each, of all ranks; its (B,) hinge loss before it."""
        scores = self.discriminator(torch.cat((target, reconstruction.detach())))
        original, false = scores.flatten(1).chunk(2)
        loss = (functional.relu(1 - original) + functional.relu(1 + false)).mean(1)
        self.optimiser.zero_grad(set_to_none=True)
        loss.mean().backward()
        distributed.average_gradients(self.discriminator.parameters())
        # As the training's own: a step whose gradient is not finite is skipped, without asking the device.
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.discriminator.parameters() if p.grad is not None])
        self.optimiser.found_inf = (~torch.isfinite(norm)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        return loss.detach()

    def forward(self, reconstruction: Tensor) -> Tensor:
        """(B,) what the model pays for (B, 1, *shape) that do not pass as originals."""
        scores = self.discriminator(reconstruction)
        return self.variance * functional.relu(1 - scores).flatten(1).mean(1)
