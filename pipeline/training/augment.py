"""Random changes of the train windows of a waveform, which a listener would not call another recording."""

import torch
from torch import Tensor

from pipeline.training.config import AugmentConfig


def augment(x: Tensor, config: AugmentConfig, uniform: Tensor) -> Tensor:
    """Waveforms (B, 1, samples) with a random gain and polarity each, from (B, 2) uniform numbers in [0, 1).

    The gain is evenly distributed in dB, and limited so that no sample exceeds 1.
    """
    gain = 10 ** (config.gain_db * (2 * uniform[:, 0] - 1) / 20)
    gain = gain.minimum(1 / x.flatten(1).abs().amax(1).clamp_min(1e-9))
    sign = torch.where(uniform[:, 1] < 0.5, -1, 1) if config.flip_polarity else 1
    return x * (gain * sign).reshape(-1, *[1] * (x.dim() - 1))
