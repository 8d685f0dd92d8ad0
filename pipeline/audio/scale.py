"""From stored values to the scale on which models are trained and scored, and back."""

import math
from typing import Any

FLOOR_DB = 80.0  # a mel value lies between 0 (the window's peak) and this many dB below
INT16_PEAK = 32767

Values = Any  # an array or a tensor; what comes in comes out
_SCALE = {"mel": (1 / FLOOR_DB, 1.0), "waveform": (1 / INT16_PEAK, 0.0)}


def to_unit(stored: Values, kind: str) -> Values:
    """Stored values, as a float array or tensor, to [0, 1] (mel: dB below the peak) or [-1, 1] (waveform: int16)."""
    factor, offset = _SCALE[kind]
    return stored * factor + offset


def to_unit_(stored: Values, kind: str) -> Values:
    """`to_unit` in place, for values that nobody else needs: in a training step, new memory costs more than the sum."""
    factor, offset = _SCALE[kind]
    stored *= factor
    stored += offset
    return stored


def to_db(unit: Values) -> Values:
    """Mel values in [0, 1] to dB below the window's peak, in [-80, 0]."""
    return (unit - 1) * FLOOR_DB


def below_peak(db: Values, lowest: float = -math.inf) -> Values:
    """Tensor (..., bands, frames) of levels in dB to dB below each window's own peak, in [-80, 0].

    A peak under `lowest` counts as `lowest`.
    """
    return (db - db.amax(dim=(-2, -1), keepdim=True).clamp_min(lowest)).clamp_min(-FLOOR_DB)


def below_peak_(db: Values, lowest: float = -math.inf) -> Values:
    """`below_peak` in place."""
    return db.sub_(db.amax(dim=(-2, -1), keepdim=True).clamp_min(lowest)).clamp_min_(-FLOOR_DB)
