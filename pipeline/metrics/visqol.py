"""ViSQOL in audio mode: an estimate of the score that listeners would give, 1 to 5 (Chinen et al. 2020, 2004.09584)."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from pipeline.audio.resample import resample

RATE = 48_000  # Hz, of its audio mode
LOWEST = 1.0


@cache
def load() -> Callable[[Tensor, Tensor, int], Tensor]:
    """A measure of reconstructions y and originals x, (B, samples) at a rate in Hz: (B,).

    It is visqol-python, whose model is in the package. Silence gets the lowest score; NaN if the original is silent.
    """
    from visqol import VisqolApi  # the check of params.yaml has found it

    api = VisqolApi()
    api.create(mode="audio")

    def visqol(y: Tensor, x: Tensor, rate: int) -> Tensor:
        scores = []
        for pair in zip(x.cpu().numpy(), y.cpu().numpy(), strict=True):
            original, reconstruction = (resample(waveform, rate, RATE) for waveform in pair)
            if not original.any():
                scores.append(torch.nan)
            elif not reconstruction.any():
                scores.append(LOWEST)
            else:
                scores.append(float(api.measure_from_arrays(original, reconstruction, RATE).moslqo))
        return torch.tensor(scores)

    return visqol
