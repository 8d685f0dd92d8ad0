"""The scale on which models are trained and scored: to it, and back."""

import math
from typing import Any

import numpy as np

FLOOR_DB = 80.0  # mel values are clipped at this many dB below the window's peak
INT16_PEAK = 32767

Values = Any  # an array or a tensor; the result has the same type
_SCALE = {"mel": (1 / FLOOR_DB, 1.0), "waveform": (1 / INT16_PEAK, 0.0)}  # factor and offset


def to_unit(stored: Values, kind: str) -> Values:
    """Stored values, as floats, to [0, 1] (mel, stored as dB below the peak) or [-1, 1] (waveform, stored as int16)."""
    factor, offset = _SCALE[kind]
    return stored * factor + offset


def to_unit_(stored: Values, kind: str) -> Values:
    """`to_unit` in place: in a training step, new memory costs more than the arithmetic."""
    factor, offset = _SCALE[kind]
    stored *= factor
    stored += offset
    return stored


def to_db(unit: Values) -> Values:
    """Mel values in [0, 1] to dB below the window's peak, in [-80, 0]."""
    return (unit - 1) * FLOOR_DB


def below_peak(db: Values, min_peak_db: float = -math.inf) -> Values:
    """A tensor (..., bands, frames) in dB to dB below the peak of each window, in [-80, 0].

    A peak below `min_peak_db` counts as `min_peak_db`.
    """
    return (db - db.amax(dim=(-2, -1), keepdim=True).clamp_min(min_peak_db)).clamp_min(-FLOOR_DB)


def below_peak_(db: Values, min_peak_db: float = -math.inf) -> Values:
    """`below_peak` in place."""
    return db.sub_(db.amax(dim=(-2, -1), keepdim=True).clamp_min(min_peak_db)).clamp_min_(-FLOOR_DB)


def limit(block: np.ndarray) -> np.ndarray:
    """Clip samples to [-1, 1], and replace NaN and infinity by 0."""
    if max(block.max(), -block.min()) <= 1:  # false for NaN
        return block
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1)
