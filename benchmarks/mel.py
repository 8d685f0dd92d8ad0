"""Log-mel spectrograms of 5 s windows on one core, against librosa's two calls per window."""

import librosa
import numpy as np
import torch

from benchmarks.measure import Row, compare
from pipeline.audio.mel import LogMel
from pipeline.sources import synth
from pipeline.sources.config import SynthConfig

RATE = 22050


def rows() -> list[Row]:
    """Sixty windows of the synthetic source, decoded and resampled beforehand."""
    config = SynthConfig()
    clips = [synth.render(clip, config) for clip in synth.plan(config)[:: config.clips]]
    windows = [clip[start : start + 5 * RATE] for clip in clips for start in range(0, len(clip), 5 * RATE)]
    torch.set_num_threads(1)
    mel = LogMel(RATE, 2048, 512, 128)

    def reference(audio: np.ndarray) -> np.ndarray:
        return librosa.power_to_db(librosa.feature.melspectrogram(y=audio, sr=RATE), ref=np.max)

    return [
        compare(
            f"mel of {len(windows)} windows",
            lambda: [mel(window) for window in windows],
            "librosa melspectrogram + power_to_db",
            lambda: [reference(window) for window in windows],
        )
    ]
