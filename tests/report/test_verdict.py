"""The best variant, and whether the second best is significantly worse."""

import numpy as np
import pandas as pd
import pytest

from pipeline.report.formatting import NBSP
from pipeline.report.paired import PairedDifference, paired_difference
from pipeline.report.table import Row
from pipeline.report.verdict import find_verdict


def row(name: str, error: float, *, role: str = "variant", collapsed: bool = False, representation: str = "mel") -> Row:
    metrics = ("mse", "mel_mse", "mse_relative", "mel_mse_relative")
    numbers = dict.fromkeys(metrics, error) | {"collapsed": float(collapsed)}
    return Row(name, representation, True, role=role, numbers={**numbers})


def windows(error: float, std: float = 0.0, groups: int = 12) -> pd.DataFrame:
    """Two tracks per group, three windows each; variants share the difficulty, and each has noise of this std."""
    difficulty = np.random.default_rng(0).uniform(0, 10, 6 * groups)
    track = np.repeat(np.arange(2 * groups), 3)
    noise = np.random.default_rng(int(1e6 * error)).normal(0, std, len(track))
    table = pd.DataFrame({"seed": 0, "track_id": track, "group": track // 2, "mse": difficulty + error + noise})
    return table.assign(mel_mse=table["mse"])


def test_baselines_ceilings_and_collapsed_variants_are_never_best() -> None:
    for winner, *others in (
        (row("a", 0.2), row("pca", 0.01, role="baseline")),
        (row("b", 0.9), row("a", 0.2, collapsed=True)),
        (row("b", 0.9), row("true", 0.01, role="ceiling")),
    ):
        assert find_verdict([*others, winner], {}, 200)[1][0].best == winner
    assert find_verdict([row("pca", 0.01, role="baseline")], {}, 200) == ("No variant has results yet.", [])
    assert "No variant is better" in find_verdict([row("a", 1.2)], {}, 200)[0]
    assert find_verdict([row("a", 0.2, collapsed=True)], {}, 200) == ("Every evaluated variant has collapsed.", [])


def test_all_inputs_come_first_and_then_each_on_its_own_scale() -> None:
    rows = [row("a", 0.3), row("b", 0.2), row("w", 0.1, representation="wave")]
    _, leads = find_verdict(rows, {}, 200)
    assert [(lead.scale, lead.best.variant, lead.second and lead.second.variant) for lead in leads] == [
        ("common log-mel", "w", "b"),
        ("mel", "b", "a"),
        ("wave", "w", None),
    ]


def test_a_paired_difference_is_significant_where_the_two_intervals_overlap() -> None:
    pair = paired_difference(windows(0.2, 0.05), windows(0.0, 0.05), "mse", 2000)
    assert pair is not None and pair.significant and pair.difference == pytest.approx(0.2, abs=0.05)
    assert pair.low < pair.difference < pair.high
    standard_error = windows(0.2)["mse"].groupby(np.repeat(np.arange(12), 6)).mean().std() / 12**0.5
    assert pair.high - pair.low < standard_error  # the interval of one error is about four of these wide


def test_equal_errors_do_not_differ_significantly() -> None:
    pair = paired_difference(windows(0.001, 0.5), windows(0.002, 0.5), "mse", 2000)
    assert pair is not None and not pair.significant


def test_without_two_common_groups_there_is_no_difference() -> None:
    assert paired_difference(windows(0.1, groups=1), windows(0.2, groups=1), "mse", 2000) is None
    assert paired_difference(None, windows(0.2), "mse", 2000) is None
    assert paired_difference(windows(0.1).drop(columns="mel_mse"), windows(0.2), "mel_mse", 2000) is None


def test_intervals_of_equal_variants_contain_zero_in_95_percent() -> None:
    """Of 200 pairs; the share is between 90 and 99 % in all but one of a thousand runs."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(15), 2)
        difficulty = rng.normal(0, 1, 15)[group]
        tables = [pd.DataFrame({"seed": 0, "track_id": range(30), "group": group}) for _ in range(2)]
        tables = [table.assign(mse=rng.normal(0, 1, 30)) for table in tables]
        tables[0]["mse"] += difficulty
        pair = paired_difference(*tables, "mse", 2000)
        assert pair is not None
        hits += not pair.significant
    assert 0.9 <= hits / 200 <= 0.99


def over_seeds(errors: dict[int, float], std: float = 0.05) -> pd.DataFrame:
    """`windows` for each seed, with this error."""
    return pd.concat([windows(error, std).assign(seed=seed) for seed, error in errors.items()])


def test_a_difference_that_another_seed_reverses_is_not_significant() -> None:
    reference = over_seeds({0: 1.0, 1: 1.001, 2: 1.002})
    steady, unsteady = over_seeds({0: 1.2, 1: 1.21, 2: 1.19}), over_seeds({0: 1.5, 1: 0.8, 2: 1.3})
    pairs = [paired_difference(table, reference, "mse", 500) for table in (steady, unsteady)]
    assert [pair and pair.significant for pair in pairs] == [True, False]
    one_seed = paired_difference(unsteady[unsteady["seed"] == 2], reference, "mse", 500)
    assert one_seed is not None and one_seed.significant  # over recordings alone


def test_what_a_seed_does_to_both_variants_cancels() -> None:
    seeds = {0: 5.0, 1: 8.0, 2: 0.0}
    pair = paired_difference(over_seeds({s: e + 0.2 for s, e in seeds.items()}), over_seeds(seeds), "mse", 500)
    assert pair is not None and pair.significant and pair.high < 0.3


def test_only_common_seeds_count_and_without_any_the_means_over_seeds() -> None:
    a, b = over_seeds({0: 0.2, 1: 9.0}, std=0.0), over_seeds({0: 0.0, 2: 9.0}, std=0.0)
    pair = paired_difference(a, b, "mse", 200)
    assert pair is not None and pair.difference == pytest.approx(0.2) and pair.high == pytest.approx(0.2)
    pair = paired_difference(a, b.assign(seed=b["seed"] + 5), "mse", 200)
    assert pair is not None and pair.difference == pytest.approx(0.1) and pair.high == pytest.approx(0.1)
    assert paired_difference(a, b.assign(track_id=b["track_id"] + 100), "mse", 200) is None  # other recordings


def test_percentages_have_no_exponent() -> None:
    assert PairedDifference(0.031, 0.004, 0.052).in_percent(1.0) == (f"+3.1{NBSP}%", "+0.4 to +5.2")
    assert PairedDifference(-3e-6, -0.00056, 0.0011).in_percent(1.0) == (f"+0.00{NBSP}%", "-0.06 to +0.11")
    assert PairedDifference(1.31, 0.996, 12.5).in_percent(1.0) == (f"+131{NBSP}%", "+100 to +1,250")


def test_the_headline_says_if_the_second_best_is_as_good() -> None:
    rows = [row("a", 0.10), row("b", 0.11)]
    close, clear = (
        find_verdict(rows, {"a": windows(0.10, std), "b": windows(0.11, std)}, 500)[0] for std in (0.5, 0.001)
    )
    assert "a has the lowest error of all trained variants, not significantly below b" in close
    assert "significantly" not in clear
