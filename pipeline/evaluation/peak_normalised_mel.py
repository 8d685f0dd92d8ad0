"""A window of any representation as a log-mel relative to its own peak: to compare windows that have no original."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import log10

import torch
from torch import Tensor

from pipeline.audio.mel import AMIN, LogMel
from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.audio.resample import resample
from pipeline.audio.scale import FLOOR_DB, below_peak_, to_unit_
from pipeline.core.process import cores

ToMel = Callable[[Tensor], Tensor]


def to_mel(mel: MelConfig, representation: RepresentationConfig) -> ToMel:
    """A function from windows (B, 1, *shape) to (B, bands, frames) on the CPU: 1 is the peak, 0 is 80 dB below.

    A mel is returned as it is, not below 0, whatever its bands are. A waveform is resampled to the rate of `mel` and
    brought to its own peak; silence is 0.
    """
    if representation.kind == "mel":
        return lambda x: x.squeeze(1).clamp_min(0).cpu()
    log_mel, own = LogMel(mel.sample_rate, mel.n_fft, mel.hop_length, mel.bands), representation.sample_rate
    lowest = 10 * log10(AMIN) + FLOOR_DB  # a peak below it would raise the log-mel's own floor above 0

    def convert(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(cores()) as executor:
            rows = x.squeeze(1).cpu().numpy()
            found = executor.map(lambda row: log_mel(resample(row, own, mel.sample_rate)), rows)
            db = torch.stack(list(found))
        unit: Tensor = to_unit_(below_peak_(db, lowest), "mel")
        return unit

    return convert
