"""Write WAV files, and the gain of clips that are compared by ear."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

GAIN = 0.5  # gain of all clips: phases from Griffin-Lim can add up to twice the track's peak
MAX_PEAK = 0.999


def common_gain(clips: Sequence[np.ndarray]) -> float:
    """The factor, at most 1, by which these clips are lowered so that none is clipped after `GAIN`."""
    peak = GAIN * max((float(np.abs(clip).max(initial=0)) for clip in clips), default=0.0)
    return min(1.0, MAX_PEAK / peak) if peak > 0 else 1.0


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write (samples,) float in [-1, 1] as 16-bit PCM."""
    content = io.BytesIO()  # not the file itself: libsndfile reports a full disk only as "System error"
    soundfile.write(content, audio, rate, format="WAV", subtype="PCM_16")
    path.write_bytes(content.getvalue())
