"""Means over tracks of metrics per window, and their confidence intervals."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
MIN_GROUPS = 5  # of a bootstrap; with fewer there are too few different draws


@dataclass(frozen=True)
class Estimates:
    """Mean over tracks and interval bounds of M metrics, (M,) each; NaN if not defined."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    groups: np.ndarray  # number of groups with a value


def track_means(values: np.ndarray, track_ids: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of values (windows, M) over each track's windows without NaN, and the tracks' groups.

    Returns:
        (tracks, M), NaN if all of a track's windows are NaN, and (tracks,), both in order of track_id.
    """
    names, first, index = np.unique(track_ids, return_index=True, return_inverse=True)
    return _ratio(*_sums(values, index, len(names))), groups[first]


def bootstrap_mean(tracks: np.ndarray, groups: np.ndarray, resamples: int) -> Estimates:
    """The mean over tracks and its 95 % bootstrap interval. The draws are fixed and the same for all metrics.

    Groups are drawn with all their tracks: tracks of one artist or composition resemble each other, and draws of
    single tracks would make the interval too narrow. The statistic is the mean over the drawn tracks. Quantiles are
    Hesterberg's expanded percentiles (2015, arXiv 1411.5279): with few groups, plain percentiles give too short an
    interval, by sqrt((n - 1) / n) and by a normal instead of a t distribution. With fewer than `MIN_GROUPS` groups the
    interval is that of Student's t, for the ratio of sums over groups (Cochran 1977, section 6.4).

    `tracks` is (tracks, M), NaN if a track has no value. The interval is NaN if fewer than two groups have a value.
    """
    names, index = np.unique(groups, return_inverse=True)
    total, count = _sums(tracks, index, len(names))
    size = len(names)
    draws = np.random.default_rng(0).multinomial(size, np.full(size, 1 / size), resamples).astype(float)
    means, mean = _ratio(draws @ total, draws @ count), _ratio(total.sum(0), count.sum(0))
    low, high = np.full((2, tracks.shape[1]), np.nan)
    groups_with_value = (count > 0).sum(0)
    for number in np.unique(groups_with_value[groups_with_value > 1]):
        columns = groups_with_value == number
        if number < MIN_GROUPS:
            residuals = (total - mean * count)[:, columns]
            error = np.sqrt(number / (number - 1) * np.square(residuals).sum(0)) / count.sum(0)[columns]
            half_width = _t_quantile(number - 1) * error
            low[columns], high[columns] = mean[columns] - half_width, mean[columns] + half_width
            continue
        tail = expanded_tail(int(number))
        low[columns], high[columns] = np.nanquantile(means[:, columns], [tail, 1 - tail], axis=0)
    return Estimates(mean, low, high, groups_with_value)


def mean_over_seeds(tracks: np.ndarray, groups: np.ndarray, resamples: int) -> Estimates:
    """The mean over tracks and seeds, and its 95 % interval for other groups and other seeds.

    The interval of `bootstrap_mean`, of the seeds' mean, lacks what another training would change. Each of its half
    widths is a t quantile times a standard error; the squared standard error grows by s² / S, for the standard
    deviation s of the means of S seeds, and the degrees of freedom are Satterthwaite's (1946). What a seed changes in
    a single group counts in both terms, so the interval is rather too wide. With one seed it is that of groups alone.

    `tracks` is (seeds, tracks, M); a track that is NaN in one seed is left out in all.
    """
    estimates = bootstrap_mean(tracks.mean(0), groups, resamples)
    seeds = len(tracks)
    if seeds == 1:
        return estimates
    is_complete = ~np.isnan(tracks).any(0)
    seed_means = np.stack([nan_mean(np.where(is_complete, one, np.nan)) for one in tracks])
    variance = seed_means.var(0, ddof=1) / seeds
    varies = (estimates.groups > 1) & (variance > 0)
    mean, variance, freedom = estimates.mean[varies], variance[varies], estimates.groups[varies] - 1
    low, high = estimates.low.copy(), estimates.high.copy()
    for bounds, sign in ((low, -1), (high, 1)):
        of_groups = ((bounds[varies] - mean) / _t_quantile(freedom)) ** 2
        total = of_groups + variance
        total_freedom = total**2 / (of_groups**2 / freedom + variance**2 / (seeds - 1))
        bounds[varies] = mean + sign * _t_quantile(total_freedom) * np.sqrt(total)
    return replace(estimates, low=low, high=high)


def expanded_tail(groups: int) -> float:
    """Share of the draws below a 95 % interval, for this number of groups (at least 2); 0.025 for many."""
    return float(ndtr(-np.sqrt(groups / (groups - 1)) * _t_quantile(groups - 1)))


def _t_quantile(freedom: np.ndarray | float) -> np.ndarray:
    """Half width of a 95 % interval in standard errors, with these degrees of freedom."""
    return -stdtrit(freedom, (1 - CONFIDENCE) / 2)


def nan_mean(tracks: np.ndarray) -> np.ndarray:
    """(M,) means over the rows of (tracks, M) without NaN; NaN for a column of NaN."""
    has_value = ~np.isnan(tracks)
    return _ratio(np.where(has_value, tracks, 0).sum(0), has_value.sum(0))


def _sums(values: np.ndarray, index: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size, M) sums of the rows of each index without NaN, and the number of values in each sum."""
    has_value = ~np.isnan(values)
    total, count = np.zeros((2, size, values.shape[1]))
    np.add.at(total, index, np.where(has_value, values, 0))
    np.add.at(count, index, has_value)
    return total, count


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count; NaN for a count of 0."""
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
