"""Bootstrap intervals: compared with SciPy, and how often they contain the true mean."""

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics import bootstrap
from pipeline.metrics.bootstrap import bootstrap_mean, expanded_tail, mean_over_seeds, track_means


def test_long_and_short_tracks_weigh_the_same():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [10.0, np.nan], [np.nan, np.nan]])
    tracks, groups = track_means(values, np.array(["b", "b", "a", "a"]), np.array(["x", "x", "y", "y"]))
    assert groups.tolist() == ["y", "x"]  # in order of track
    np.testing.assert_array_equal(tracks, [[10.0, np.nan], [2.0, 5.0]])
    result = bootstrap_mean(tracks, groups, 50)
    assert result.mean.tolist() == [6.0, 5.0]
    assert np.isnan([result.low[1], result.high[1]]).all() and not np.isnan(result.low[0])  # one group: no interval


def test_the_interval_equals_scipys_at_the_expanded_level():
    values = np.random.default_rng(1).gamma(2.0, size=25)
    result = bootstrap_mean(values[:, None], np.arange(25), 40_000)
    settings = {"n_resamples": 40_000, "confidence_level": 1 - 2 * expanded_tail(25), "method": "percentile", "rng": 2}
    expected = stats.bootstrap((values,), np.mean, **settings).confidence_interval
    assert (result.low[0], result.high[0]) == pytest.approx((expected.low, expected.high), rel=0.01)


def test_few_groups_widen_the_interval_by_the_t_distribution():
    """Hesterberg (2015): z times sqrt((n - 1) / n) is then the t interval's half width of a normal statistic."""
    for groups in (2, 5, 10, 40):
        half_width = -stats.norm.ppf(expanded_tail(groups)) * np.sqrt((groups - 1) / groups)
        assert half_width == pytest.approx(stats.t.ppf(0.975, groups - 1), rel=1e-6)
    assert expanded_tail(100_000) == pytest.approx(0.025, rel=1e-3)


def test_all_metrics_share_one_fixed_draw():
    values = np.random.default_rng(0).random((30, 3))
    groups = np.repeat(np.arange(10), 3)
    many, single = bootstrap_mean(values, groups, 200), bootstrap_mean(values[:, [2]], groups, 200)
    assert (many.low[2], many.high[2]) == pytest.approx((single.low[0], single.high[0]), rel=1e-12)
    assert (many.low < many.mean).all() and (many.mean < many.high).all()


def test_equal_values_have_an_interval_of_length_zero():
    result = bootstrap_mean(np.full((10, 1), 2.5), np.arange(10), 100)
    assert (result.low[0], result.mean[0], result.high[0]) == (2.5, 2.5, 2.5)


def coverage(tracks: np.ndarray, groups: np.ndarray, truth: float = 0.0) -> float:
    """Share of the columns (each one experiment) whose interval contains the true mean."""
    result = bootstrap_mean(tracks, groups, 2000)
    return float(((result.low <= truth) & (truth <= result.high)).mean())


@pytest.mark.parametrize(
    ("groups", "low", "high"),
    [(2, 0.935, 0.965), (4, 0.935, 0.965), (5, 0.90, 0.96), (10, 0.93, 0.97), (40, 0.935, 0.965)],
)
def test_the_interval_has_its_nominal_coverage(groups, low, high):
    """With five groups the bootstrap has few different means to draw, and the interval is a little short."""
    rng = np.random.default_rng(groups)
    tracks = rng.standard_normal((groups, 3000))
    assert low < coverage(tracks, np.arange(groups)) < high


def test_with_four_groups_it_is_the_t_interval_and_long_groups_weigh_more():
    values = np.random.default_rng(3).standard_normal(4)
    result = bootstrap_mean(values[:, None], np.arange(4), 10)
    assert (result.low[0], result.high[0]) == pytest.approx(stats.t.interval(0.95, 3, values.mean(), stats.sem(values)))
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(4), [1, 2, 3, 4])
    tracks = rng.standard_normal((4, 3000))[groups] + 0.3 * rng.standard_normal((10, 3000))
    assert 0.9 < coverage(tracks, groups) < 0.97


def test_plain_percentiles_have_too_little_coverage(monkeypatch):
    tracks = np.random.default_rng(10).standard_normal((10, 3000))
    monkeypatch.setattr(bootstrap, "expanded_tail", lambda groups: 0.025)
    assert coverage(tracks, np.arange(10)) < 0.92


def test_tracks_of_a_group_are_drawn_together():
    """Ten groups of four tracks, which share half of their variance."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 4)
    tracks = rng.standard_normal((10, 3000))[groups] + rng.standard_normal((40, 3000))
    assert coverage(tracks, groups) == pytest.approx(0.95, abs=0.02)
    assert coverage(tracks, np.arange(40)) < 0.85  # as if they were independent


def test_groups_of_unequal_size_have_the_coverage_too():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    tracks = rng.standard_normal((12, 3000))[groups] + rng.standard_normal((len(groups), 3000))
    assert 0.91 < coverage(tracks, groups) < 0.97


def draw(groups: int, seeds: int, seed_variance: float, interaction: float = 0.0) -> np.ndarray:
    """(seeds, groups, 3000) scores with the true mean 0: effects of groups, of seeds, and of each seed in each group.

    The variances: 1 between groups; `seed_variance` / groups between seeds, so relative to the mean over groups; and
    `interaction`.
    """
    rng = np.random.default_rng(groups + seeds)
    scores = rng.standard_normal((1, groups, 3000))
    scores = scores + rng.normal(0, (seed_variance / groups) ** 0.5, (seeds, 1, 3000))
    return scores + rng.normal(0, interaction**0.5, (seeds, groups, 3000))


@pytest.mark.parametrize(
    ("groups", "seeds", "seed_variance", "interaction", "low", "high"),
    [
        (10, 2, 0.0, 0.0, 0.93, 0.96),
        (10, 2, 2.0, 0.0, 0.93, 0.97),
        (5, 3, 2.0, 0.0, 0.91, 0.96),
        (20, 3, 0.5, 1.0, 0.94, 0.98),
        (20, 5, 2.0, 1.0, 0.94, 0.98),
        (20, 2, 50.0, 0.0, 0.86, 0.91),  # two seeds, and little else varies: too short
    ],
)
def test_the_interval_over_groups_and_seeds_has_its_coverage(groups, seeds, seed_variance, interaction, low, high):
    scores = draw(groups, seeds, seed_variance, interaction)
    result = mean_over_seeds(scores, np.arange(groups), 1000)
    assert low < ((result.low <= 0) & (result.high >= 0)).mean() < high
    if seed_variance >= 2:
        assert coverage(scores.mean(0), np.arange(groups)) < 0.92  # as if other seeds gave the same


def test_one_seed_or_equal_seeds_have_the_interval_over_groups():
    tracks, groups = np.random.default_rng(0).random((30, 3)), np.repeat(np.arange(10), 3)
    expected = bootstrap_mean(tracks, groups, 200)
    one, three = (mean_over_seeds(np.stack([tracks] * seeds), groups, 200) for seeds in (1, 3))
    for name in ("mean", "low", "high"):
        np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))
        np.testing.assert_allclose(getattr(three, name), getattr(expected, name), rtol=1e-12)


def test_seeds_alone_give_the_t_interval_of_their_means():
    means = np.array([1.0, 4.0, 2.5])
    result = mean_over_seeds(np.repeat(means, 6).reshape(3, 6, 1), np.arange(6), 100)
    expected = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert (result.low[0], result.high[0]) == pytest.approx(expected)


def test_standard_errors_add_up_with_satterthwaites_degrees_of_freedom():
    """The half width of many normal groups is about that of the two-sample interval of Welch, with the same formula."""
    rng = np.random.default_rng(0)
    of_groups, of_seeds = stats.zscore(rng.standard_normal(40), ddof=1), np.array([-0.2, 0.0, 0.1, 0.1])
    result = mean_over_seeds((of_seeds[:, None] + of_groups)[:, :, None], np.arange(40), 40_000)
    welch = stats.ttest_ind(of_groups, of_seeds, equal_var=False).confidence_interval(0.95)
    assert result.high[0] - result.low[0] == pytest.approx(welch.high - welch.low, rel=0.02)
    assert result.high[0] - result.low[0] > 1.05 * np.diff(stats.t.interval(0.95, 39, 0, 40**-0.5))[0]


def test_a_track_without_a_value_in_one_seed_is_left_out():
    rng = np.random.default_rng(0)
    scores, groups = rng.random((3, 12, 3)), np.repeat(np.arange(6), 2)
    scores[1, 4, 0] = 1e9  # a value that must not count
    scores[2, 4, 0] = scores[0, :, 1] = scores[0, 2:, 2] = np.nan  # a track; all of a seed; all but one group
    result, without = (mean_over_seeds(np.delete(scores, i, 1), np.delete(groups, i), 200) for i in ([], 4))
    for name in ("mean", "low", "high"):
        np.testing.assert_allclose(getattr(result, name)[0], getattr(without, name)[0])
        assert np.isnan(getattr(result, name)[1]) and np.isnan(getattr(result, name)[2]) == (name != "mean")
