"""What people listen to: 16-bit WAV files at a rate that every browser plays."""

from pathlib import Path

import numpy as np

from pipeline.audio.inversion import mel_to_audio
from pipeline.audio.resample import resample
from pipeline.audio.wav import write_wav
from pipeline.cache.config import MelConfig, WaveformConfig, samples
from pipeline.figures.inputs import Window

LOWEST_RATE = 8000  # Hz; browsers need not play less
PEAK = 0.99


def render(window: Window, config: MelConfig | WaveformConfig, seconds: float, iterations: int) -> np.ndarray:
    """(samples,) float32 of a window at the representation's rate: its waveform, or its mel inverted."""
    if isinstance(config, MelConfig):
        return mel_to_audio(window.array, window.peak_db, config, samples(seconds, config.sample_rate), iterations)
    return np.asarray(window.array, np.float32)


def common_gain(*audio: np.ndarray) -> float:
    """The gain, at most 1, at which none of these clips."""
    loudest = max(float(np.abs(a).max(initial=0)) for a in audio)
    return min(1.0, PEAK / loudest) if loudest > 0 else 1.0


def playable(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """The audio and its rate; below 8,000 Hz resampled to that, of the same duration."""
    if rate >= LOWEST_RATE:
        return audio, rate
    return resample(audio, rate, LOWEST_RATE), LOWEST_RATE


def write(path: Path, audio: np.ndarray, rate: int, gain: float) -> None:
    """Write (samples,) times `gain` as 16-bit mono WAV."""
    write_wav(path, audio * np.float32(gain), rate)
