"""Waveforms at one loudness inside the model: divided on the way in, multiplied back on the way out."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pipeline.models.signal import Signal

QUIETEST = 1e-3  # -60 dB of full scale: a level below it counts as this, so that silence stays silent
PEAK_STD = 0.25  # typical standard deviation of music brought to a peak of 1


class WindowGain(nn.Module):
    """Scaling of a window by its own level.

    The level goes beside the latent: one number more than `latent_dims` says. What is drawn from the prior gets the
    train split's.

    Args:
        scaling: none, peak (the largest value becomes 1) or rms (the root mean square becomes 1).
        signal: of the data as they are; `self.signal` is as the encoder sees them.
    """

    typical: Tensor

    def __init__(self, scaling: str, signal: Signal) -> None:
        super().__init__()
        self.scaling = scaling
        std = float(torch.as_tensor(signal.std).mean())
        within = {"none": std, "rms": 1.0, "peak": PEAK_STD}[scaling]
        self.signal = signal if scaling == "none" else replace(signal, mean=0.0, std=within)
        self.register_buffer("typical", torch.tensor(1.0 if scaling == "none" else std / within), persistent=False)

    def forward(self, x: Tensor) -> Tensor | None:
        """(B, 1, 1) by which each of (B, 1, samples) is divided; None without scaling."""
        if self.scaling == "none":
            return None
        level = x.abs().amax(-1, keepdim=True) if self.scaling == "peak" else x.square().mean(-1, keepdim=True).sqrt()
        return level.clamp_min(QUIETEST)

    def undo(self, y: Tensor, level: Tensor | None) -> Tensor:
        """Windows at their own level, or at the train split's typical one."""
        if self.scaling == "none":
            return y
        return y * (self.typical if level is None else level)
