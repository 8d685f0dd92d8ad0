"""Log-mels relative to each window's own peak: they compare windows that have no original, such as samples."""

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


def peak_normalised_mel(mel: MelConfig, representation: RepresentationConfig) -> ToMel:
    """A function from windows (B, 1, *shape) to (B, bands, frames) on the CPU: 1 is the peak, 0 is 80 dB below.

    A mel stays as it is, clamped at 0, whatever its bands are. A waveform is resampled to the rate of `mel` and divided
    by its own peak; silence is 0.
    """
    if representation.kind == "mel":
        return lambda x: x.squeeze(1).clamp_min(0).cpu()
    log_mel = LogMel(mel.sample_rate, mel.n_fft, mel.hop_length, mel.bands)
    rate = representation.sample_rate
    lowest_peak_db = 10 * log10(AMIN) + FLOOR_DB  # a lower peak would raise the log-mel's own floor above 0

    def to_mel(x: Tensor) -> Tensor:
        with ThreadPoolExecutor(cores()) as executor:
            waveforms = x.squeeze(1).cpu().numpy()
            mels = executor.map(lambda waveform: log_mel(resample(waveform, rate, mel.sample_rate)), waveforms)
            db = torch.stack(list(mels))
        unit: Tensor = to_unit_(below_peak_(db, lowest_peak_db), "mel")
        return unit

    return to_mel
