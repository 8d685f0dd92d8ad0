"""Write WAV files."""

import io
from pathlib import Path

import numpy as np
import soundfile


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write (samples,) float in [-1, 1] as 16-bit PCM."""
    content = io.BytesIO()  # not the file itself: libsndfile reports a full disk only as "System error"
    soundfile.write(content, audio, rate, format="WAV", subtype="PCM_16")
    path.write_bytes(content.getvalue())
