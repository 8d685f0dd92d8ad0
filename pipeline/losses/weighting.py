"""Weights of mel bands in a reconstruction distance."""

import numpy as np
import torch
from torch import Tensor

from pipeline.models.signal import Signal

# Weight up to a frequency in Hz: system A's three, between borders that are usual for bass, middle and treble.
MUSICAL = ((250.0, 1.5), (4000.0, 2.0), (np.inf, 0.8))


def centres(signal: Signal) -> np.ndarray:
    """(bands,) centre frequencies of a mel's bands in Hz, lowest first."""
    import librosa  # slow to import, and few variants need it

    bands, nyquist = signal.representation["bands"], signal.representation["sample_rate"] / 2
    found: np.ndarray = librosa.mel_frequencies(bands + 2, fmin=0.0, fmax=nyquist)[1:-1]
    return found


def musical(frequencies: np.ndarray) -> np.ndarray:
    """System A's: 1.5 up to 250 Hz, 2.0 up to 4,000 Hz, 0.8 above."""
    borders, weights = np.array(MUSICAL).T
    found: np.ndarray = weights[np.searchsorted(borders, frequencies)]
    return found


def a_weighting(frequencies: np.ndarray) -> np.ndarray:
    """The amplitude gain of A-weighting (IEC 61672-1), at least -80 dB."""
    import librosa

    found: np.ndarray = 10 ** (librosa.A_weighting(frequencies, min_db=-80.0) / 20)
    return found


WEIGHTINGS = {"musical": musical, "a_weighting": a_weighting}


def make(name: str, signal: Signal) -> Tensor | None:
    """(bands, 1) positive weights with mean 1, so that weighted losses stay comparable; None without a weighting."""
    if name == "none":
        return None
    weights = WEIGHTINGS[name](centres(signal))
    return torch.tensor(weights / weights.mean(), dtype=torch.float32).unsqueeze(1)
