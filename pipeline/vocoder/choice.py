"""Compare a vocoder with Griffin-Lim on waveforms that it has not seen."""

import torch
from torch import Tensor

from pipeline.audio.inversion import Inversion
from pipeline.audio.mel import LogMel
from pipeline.audio.scale import FLOOR_DB, below_peak, to_unit
from pipeline.metrics import measures

DECIDING = ("audio_mel_distance", "audio_stft_distance")


def score(inversion: Inversion, waveforms: Tensor) -> dict[str, float]:
    """The means of the `DECIDING` distances of waveforms (B, samples) from the audio that their mels become."""
    log_mel, rate = LogMel(inversion.config), inversion.config.sample_rate
    audio = []
    for waveform in waveforms:
        db = log_mel(waveform.numpy())
        unit_mel = to_unit(below_peak(db, -FLOOR_DB), "mel").numpy()
        peak_db = max(float(db.max()), -FLOOR_DB)
        audio.append(torch.from_numpy(inversion(unit_mel, peak_db, waveforms.shape[1])))
    pairs = list(zip(torch.stack(audio).split(1), waveforms.split(1), strict=True))
    return {name: float(torch.cat([measures.AUDIO[name](y, x, rate) for y, x in pairs]).mean()) for name in DECIDING}


def is_better(vocoder: dict[str, float], griffin_lim: dict[str, float]) -> bool:
    """Whether the vocoder has the lower distances."""
    return all(vocoder[name] < griffin_lim[name] for name in DECIDING)
