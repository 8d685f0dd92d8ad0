"""The level and the sample rate of clips that people hear and compare."""

from collections.abc import Sequence

import numpy as np

from pipeline.audio.resample import resample

GAIN = 0.5  # of all clips: phases from Griffin-Lim can add up to twice the track's peak
MAX_PEAK = 0.999
MIN_RATE = 8000  # Hz; browsers and some players refuse a lower one


def common_gain(clips: Sequence[np.ndarray]) -> float:
    """The factor, at most 1, by which these clips are lowered so that none is clipped after `GAIN`."""
    peak = GAIN * max((float(np.abs(clip).max(initial=0)) for clip in clips), default=0.0)
    return min(1.0, MAX_PEAK / peak) if peak > 0 else 1.0


def raise_rate(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """(samples,) and their rate, resampled if it is below `MIN_RATE`."""
    if rate >= MIN_RATE:
        return audio, rate
    return resample(audio, rate, MIN_RATE), MIN_RATE
