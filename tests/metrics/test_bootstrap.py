"""Intervals: against SciPy, and by how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics import bootstrap
from pipeline.metrics.bootstrap import estimate, expanded, per_track


def test_tracks_weigh_the_same_however_long():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [10.0, np.nan], [np.nan, np.nan]])
    tracks, groups = per_track(values, np.array(["b", "b", "a", "a"]), np.array(["x", "x", "y", "y"]))
    assert groups.tolist() == ["y", "x"]  # in order of track
    np.testing.assert_array_equal(tracks, [[10.0, np.nan], [2.0, 5.0]])
    found = estimate(tracks, groups, 50)
    assert found.mean.tolist() == [6.0, 5.0]
    assert np.isnan([found.low[1], found.high[1]]).all() and not np.isnan(found.low[0])  # one group says no spread


def test_the_ends_are_those_of_scipy_at_the_expanded_level():
    values = np.random.default_rng(1).gamma(2.0, size=25)
    found = estimate(values[:, None], np.arange(25), 40_000)
    settings = {"n_resamples": 40_000, "confidence_level": 1 - 2 * expanded(25), "method": "percentile", "rng": 2}
    theirs = stats.bootstrap((values,), np.mean, **settings).confidence_interval
    assert (found.low[0], found.high[0]) == pytest.approx((theirs.low, theirs.high), rel=0.01)


def test_few_groups_make_it_wider_by_the_t_distribution():
    """Hesterberg (2015): z times sqrt((n - 1) / n) is then the t interval's half width of a normal statistic."""
    for groups in (2, 5, 10, 40):
        reach = -stats.norm.ppf(expanded(groups)) * np.sqrt((groups - 1) / groups)
        assert reach == pytest.approx(stats.t.ppf(0.975, groups - 1), rel=1e-6)
    assert expanded(100_000) == pytest.approx(0.025, rel=1e-3)


def test_all_metrics_come_from_one_draw_which_is_fixed():
    values = np.random.default_rng(0).random((30, 3))
    groups = np.repeat(np.arange(10), 3)
    once, again = estimate(values, groups, 200), estimate(values[:, [2]], groups, 200)
    assert (once.low[2], once.high[2]) == pytest.approx((again.low[0], again.high[0]), rel=1e-12)
    assert (once.low < once.mean).all() and (once.mean < once.high).all()


def test_equal_values_have_a_point():
    found = estimate(np.full((10, 1), 2.5), np.arange(10), 100)
    assert (found.low[0], found.mean[0], found.high[0]) == (2.5, 2.5, 2.5)


def covered(tracks: np.ndarray, groups: np.ndarray, truth: float = 0.0) -> float:
    """Share of the columns, each an experiment of its own, whose interval holds the truth."""
    found = estimate(tracks, groups, 2000)
    return float(((found.low <= truth) & (truth <= found.high)).mean())


@pytest.mark.parametrize(("groups", "low", "high"), [(5, 0.90, 0.96), (10, 0.93, 0.97), (40, 0.935, 0.965)])
def test_the_interval_holds_the_truth_as_often_as_it_says(groups, low, high):
    """Of five groups the bootstrap has few different means to draw, and stays a little short."""
    rng = np.random.default_rng(groups)
    tracks = rng.standard_normal((groups, 3000))
    assert low < covered(tracks, np.arange(groups)) < high


def test_plain_percentiles_would_not(monkeypatch):
    tracks = np.random.default_rng(10).standard_normal((10, 3000))
    monkeypatch.setattr(bootstrap, "expanded", lambda groups: 0.025)
    assert covered(tracks, np.arange(10)) < 0.92


def test_tracks_of_a_group_that_resemble_one_another_are_drawn_together():
    """Ten groups of four tracks, which have half of their variance in common."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 4)
    tracks = rng.standard_normal((10, 3000))[groups] + rng.standard_normal((40, 3000))
    assert covered(tracks, groups) == pytest.approx(0.95, abs=0.02)
    assert covered(tracks, np.arange(40)) < 0.85  # as if they were independent


def test_groups_of_unequal_size_hold_the_truth_too():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    tracks = rng.standard_normal((12, 3000))[groups] + rng.standard_normal((len(groups), 3000))
    assert 0.91 < covered(tracks, groups) < 0.97
