"""16-bit WAV files."""

import io
from pathlib import Path

import numpy as np
import soundfile


def write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    """Write (samples,) float in [-1, 1] as 16-bit PCM.

    Raises:
        OSError: it cannot be written. (libsndfile itself would only say "System error" of a full disk.)
    """
    content = io.BytesIO()
    soundfile.write(content, audio, rate, format="WAV", subtype="PCM_16")
    path.write_bytes(content.getvalue())
