"""Who leads, and whether the next is really worse."""

import numpy as np
import pandas as pd
import pytest

from pipeline.report.table import Row
from pipeline.report.text import SPACE
from pipeline.report.verdict import Pair, paired, verdict


def row(name: str, error: float, *, role: str = "variant", collapsed: bool = False, representation: str = "mel") -> Row:
    numbers: dict[str, float | None] = {
        "mse": error,
        "mel_mse": error,
        "mse_relative": error,
        "mel_mse_relative": error,
    }
    return Row(name, representation, True, role=role, numbers=numbers | {"collapsed": float(collapsed)})


def windows(error: float, spread: float = 0.0, groups: int = 12) -> pd.DataFrame:
    """Three windows of each of two tracks of a group: a difficulty that all variants share, and noise of one's own."""
    hard = np.random.default_rng(0).uniform(0, 10, 6 * groups)
    track = np.repeat(np.arange(2 * groups), 3)
    own = np.random.default_rng(int(1e6 * error)).normal(0, spread, len(track))
    frame = pd.DataFrame({"seed": 0, "track_id": track, "group": track // 2, "mse": hard + error + own})
    return frame.assign(mel_mse=frame["mse"])


def test_a_baseline_and_what_collapsed_do_not_win() -> None:
    assert verdict([row("pca", 0.01, role="baseline"), row("a", 0.2)], {}, 200).best == "a"
    assert verdict([row("a", 0.2, collapsed=True), row("b", 0.9)], {}, 200).best == "b"
    assert verdict([row("true", 0.01, role="ceiling"), row("b", 0.9)], {}, 200).best == "b"
    assert "No variant has a result" in verdict([row("pca", 0.01, role="baseline")], {}, 200).headline
    assert "No variant does better" in verdict([row("a", 1.2)], {}, 200).headline
    assert verdict([row("a", 0.2, collapsed=True)], {}, 200).headline == "Every variant that was scored has collapsed."


def test_all_inputs_come_first_and_then_each_on_its_own_scale() -> None:
    found = [row("a", 0.3), row("b", 0.2), row("w", 0.1, representation="wave")]
    leads = verdict(found, {}, 200).leads
    assert [(lead.scale, lead.best, lead.rival) for lead in leads] == [
        ("common log-mel", "w", "b"),
        ("mel", "b", "a"),
        ("wave", "w", ""),
    ]


def test_pairing_decides_what_the_two_intervals_cannot() -> None:
    pair = paired(windows(0.2, 0.05), windows(0.0, 0.05), "mse", 2000)
    assert pair is not None and pair.decided and pair.difference == pytest.approx(0.2, abs=0.05)
    assert pair.low < pair.difference < pair.high
    alone = windows(0.2)["mse"].groupby(np.repeat(np.arange(12), 6)).mean().std() / 12**0.5
    assert pair.high - pair.low < alone  # an interval of one error alone is some four of these wide


def test_no_difference_is_not_called_one() -> None:
    pair = paired(windows(0.001, 0.5), windows(0.002, 0.5), "mse", 2000)
    assert pair is not None and not pair.decided


def test_without_two_groups_in_common_nothing_is_said() -> None:
    assert paired(windows(0.1, groups=1), windows(0.2, groups=1), "mse", 2000) is None
    assert paired(None, windows(0.2), "mse", 2000) is None
    assert paired(windows(0.1).drop(columns="mel_mse"), windows(0.2), "mel_mse", 2000) is None


def test_intervals_of_no_difference_hold_zero_as_often_as_they_say() -> None:
    """Of 200 pairs of equal variants, 95 % should; between 90 and 99 % do but for one run in a thousand."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(15), 2)
        level = rng.normal(0, 1, 15)[group]
        frames = [pd.DataFrame({"track_id": range(30), "group": group, "mse": rng.normal(0, 1, 30)}) for _ in range(2)]
        frames[0]["mse"] += level
        pair = paired(*frames, "mse", 2000)
        assert pair is not None
        held += not pair.decided
    assert 0.9 <= held / 200 <= 0.99


def test_a_difference_is_written_without_an_exponent() -> None:
    assert Pair(0.031, 0.004, 0.052).shares(1.0) == (f"+3.1{SPACE}%", "+0.4 to +5.2")
    assert Pair(1.31, 0.996, 12.5).shares(1.0) == (f"+131{SPACE}%", "+100 to +1,250")
