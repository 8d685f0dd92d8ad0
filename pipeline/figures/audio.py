"""What people listen to: windows as audio, walks that morph, and 16-bit WAV files at one common level."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.audio.files import write_wav
from pipeline.audio.representation import MelConfig, WaveformConfig, sample_count
from pipeline.audio.resample import resample
from pipeline.audio.scale import FLOOR_DB, to_db
from pipeline.figures.variant_data import Window

LOWEST_RATE = 8000  # Hz; browsers need not play less
GAIN = 0.5  # of all audio: phases that Griffin-Lim finds can add up to twice the recording's peak
PEAK = 0.999


def render(window: Window, config: MelConfig | WaveformConfig, seconds: float, iterations: int) -> np.ndarray:
    """(samples,) float32 of a window at the representation's rate: its waveform, or its mel inverted."""
    if isinstance(config, MelConfig):
        from pipeline.audio.inversion import mel_to_audio  # with scikit-learn, which a waveform does not need

        return mel_to_audio(window.array, window.peak_db, config, sample_count(seconds, config.sample_rate), iterations)
    return np.asarray(window.array, np.float32)


def morph(steps: Sequence[Window], config: MelConfig | WaveformConfig) -> Window:
    """One window that is the first step at its beginning, the last at its end, and goes through the others between.

    Each moment is taken from the two steps next to it, by its share of the way: of mels their levels in dB, of
    waveforms their samples. So nothing is cut, and nothing clicks.

    Args:
        steps: of a walk, in order, evenly spaced; at least one.
        config: of the representation.
    """
    values = np.stack([step.array for step in steps])
    if isinstance(config, MelConfig):
        values = to_db(np.clip(values, 0, 1)) + np.array([step.peak_db for step in steps])[:, None, None]
    place = np.linspace(0, len(steps) - 1, values.shape[-1])
    before = np.minimum(place.astype(int), max(0, len(steps) - 2))
    after = np.minimum(before + 1, len(steps) - 1)
    moments, share = np.arange(values.shape[-1]), (place - before)[:, None]
    ahead = np.moveaxis(values, -1, 0)  # (moments, steps, ...)
    share = share.reshape(-1, *[1] * (ahead.ndim - 2))
    mixed = (1 - share) * ahead[moments, before] + share * ahead[moments, after]
    peak = 0.0
    if isinstance(config, MelConfig):
        peak = float(mixed.max())
        mixed = np.maximum((mixed - peak) / FLOOR_DB + 1, 0).T
    return Window(steps[0].kind, steps[0].number, np.ascontiguousarray(mixed, np.float32), peak_db=peak)


def playable(audio: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """The audio and its rate; below 8,000 Hz resampled to that, of the same duration."""
    if rate >= LOWEST_RATE:
        return audio, rate
    return resample(audio, rate, LOWEST_RATE), LOWEST_RATE


def turned_down(clips: Sequence[np.ndarray]) -> float:
    """The factor, at most 1, that these clips need beside `GAIN` so that none is clipped."""
    loudest = GAIN * max((float(np.abs(clip).max(initial=0)) for clip in clips), default=0.0)
    return min(1.0, PEAK / loudest) if loudest > 0 else 1.0


def write(path: Path, audio: np.ndarray, rate: int, factor: float) -> None:
    """Write (samples,) times `GAIN` and `factor` as 16-bit mono WAV."""
    write_wav(path, audio * np.float32(GAIN * factor), rate)
