"""Mean over recordings of what was measured on windows, and how sure that mean is."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Estimates:
    """Of M metrics: (M,) the mean over tracks, and the ends of its interval; NaN where there is none."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def per_track(values: np.ndarray, track_ids: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over each track's windows, NaN left out, and the tracks' groups.

    Args:
        values: (windows, M).
        track_ids: (windows,).
        groups: (windows,) of their tracks.

    Returns:
        (tracks, M), NaN where none of a track's windows has a value, and (tracks,), both in order of track_id.
    """
    names, first, index = np.unique(track_ids, return_index=True, return_inverse=True)
    total, count = _sums(values, index, len(names))
    return _ratio(total, count), groups[first]


def estimate(tracks: np.ndarray, groups: np.ndarray, resamples: int) -> Estimates:
    """The mean over tracks and its 95 % bootstrap interval; the draw is fixed, and the same for all metrics.

    Groups are drawn, with all their tracks: recordings of one artist or composition resemble one another, so a draw of
    single tracks would make the interval too narrow. The statistic is the mean over the tracks drawn. Quantiles are
    Hesterberg's expanded percentiles (2015, arXiv 1411.5279): of few groups the plain ones make an interval that is too
    short, by sqrt((n - 1) / n) and by a normal in the place of a t distribution.

    Args:
        tracks: (tracks, M), NaN where a track has no value.
        groups: (tracks,).
        resamples: number of draws.

    Returns:
        An interval is NaN where fewer than two groups have a value.
    """
    names, index = np.unique(groups, return_inverse=True)
    total, count = _sums(tracks, index, len(names))
    size = len(names)
    drawn = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), resamples).astype(float)
    means = _ratio(drawn @ total, drawn @ count)
    low, high = np.full((2, tracks.shape[1]), np.nan)
    informed = (count > 0).sum(0)
    for number in np.unique(informed[informed > 1]):
        mine = informed == number
        ends = expanded(int(number))
        low[mine], high[mine] = np.nanquantile(means[:, mine], [ends, 1 - ends], axis=0)
    return Estimates(_ratio(total.sum(0), count.sum(0)), low, high)


def expanded(groups: int) -> float:
    """The share below the lower end of a 95 % interval from so many groups (at least 2): 0.025 where they are many."""
    tail = stdtrit(groups - 1, (1 - LEVEL) / 2)
    return float(ndtr(np.sqrt(groups / (groups - 1)) * tail))


def _sums(values: np.ndarray, index: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size, M) sums of the rows of each index, NaN left out, and how many were not NaN."""
    known = ~np.isnan(values)
    total, count = np.zeros((2, size, values.shape[1]))
    np.add.at(total, index, np.where(known, values, 0))
    np.add.at(count, index, known)
    return total, count


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Mean; NaN of none."""
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
