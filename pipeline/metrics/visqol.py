"""ViSQOL in audio mode: an estimate of the score that listeners would give, 1 to 5 (Chinen et al. 2020, 2004.09584)."""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.audio.resample import resample
from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE

RATE = 48_000  # Hz, of its audio mode


def load() -> Callable[[Tensor, Tensor, int], Tensor]:
    """A measure of reconstructions y and originals x, (B, samples) at a rate in Hz: (B,).

    It is visqol-python, whose model is in the package.

    Raises:
        ParamsError: visqol-python is not installed.
    """
    try:
        from visqol import VisqolApi
    except ImportError as error:
        raise ParamsError(
            f"{PARAMS_FILE}: evaluate.visqol: visqol-python is not installed; run `make setup EXTRAS=visqol`, or set "
            "it to false"
        ) from error
    api = VisqolApi()
    api.create(mode="audio")

    def visqol(y: Tensor, x: Tensor, rate: int) -> Tensor:
        scores = []
        for pair in zip(x.cpu().numpy(), y.cpu().numpy(), strict=True):
            original, reconstruction = (resample(waveform, rate, RATE) for waveform in pair)
            scores.append(float(api.measure_from_arrays(original, reconstruction, RATE).moslqo))
        return torch.tensor(scores)

    return visqol
