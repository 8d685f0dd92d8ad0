"""Compare a vocoder with Griffin-Lim on waveforms that it has not seen."""

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.inversion import Inversion
from pipeline.audio.mel import LogMel
from pipeline.audio.scale import below_peak, to_unit
from pipeline.losses.spectral import MultiMel
from pipeline.metrics import measures
from pipeline.models.signal import Signal


def score(inversion: Inversion, waveforms: Tensor, signal: Signal) -> dict[str, float]:
    """Mean distances of waveforms (B, samples) from the audio that their mels become.

    mel_distance is that of the Descript Audio Codec (`losses.spectral.MultiMel`); stft_distance and
    log_spectral_distance, in dB, are those of evaluation. `signal` describes the waveforms.
    """
    log_mel, multi_mel = LogMel(inversion.config), MultiMel(signal)
    rate, samples = inversion.config.sample_rate, waveforms.shape[1]
    distances = []
    for waveform in waveforms:
        db = log_mel(waveform.numpy())
        audio = torch.from_numpy(inversion(to_unit(below_peak(db), "mel").numpy(), float(db.max()), samples))
        y, x = audio[None], waveform[None]
        mel_distance = multi_mel(y[:, None], x[:, None]) / signal.variance
        distances.append([mel_distance, measures.stft_distance(y, x), measures.log_spectral_distance(y, x, rate)])
    names = ("mel_distance", "stft_distance", "log_spectral_distance")
    return dict(zip(names, np.mean([[float(v) for v in row] for row in distances], axis=0).tolist(), strict=True))


def is_better(vocoder: dict[str, float], griffin_lim: dict[str, float]) -> bool:
    """Whether the vocoder has a lower mel distance and a lower STFT distance."""
    return all(vocoder[name] < griffin_lim[name] for name in ("mel_distance", "stft_distance"))
