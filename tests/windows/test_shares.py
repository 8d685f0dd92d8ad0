"""A label whose split is far from windows.splits is named, however many groups it has."""

import pandas as pd
import pytest

from pipeline.sources.config import SPLITS
from pipeline.windows.assignment import assign_splits
from pipeline.windows.config import SplitConfig, WindowsConfig
from pipeline.windows.shares import lines, uneven_labels

START = "  labels far from windows.splits (70/15/15 %), since groups stay whole: "


def split_labels(sizes: dict[str, list[int]], **settings: SplitConfig) -> list[str]:
    """The lines for labels with groups of so many windows, split by the stage's own rule."""
    config = WindowsConfig(**settings)
    rows = [
        (label, f"{label}/{g}", None) for label, counts in sizes.items() for g, n in enumerate(counts) for _ in range(n)
    ]
    windows = tracks = pd.DataFrame(rows, columns=["label", "group", "split"])
    windows = windows.assign(split=windows["group"].map(assign_splits(windows, config)))
    return list(lines(windows, tracks, config.splits))


def test_three_groups_are_thirds_and_said():
    assert split_labels({"jazz": [4] * 3, "rock": [4] * 20}) == [f"{START}jazz 33/33/33"]


def test_the_rule_is_the_shares_and_not_the_number_of_groups():
    assert split_labels({"four": [4] * 4, "six": [4] * 6}) == [f"{START}four 50/25/25"]
    thirds = SplitConfig(train=0.34, valid=0.33, test=0.33)
    assert split_labels({"jazz": [4] * 3}, splits=thirds) == []
    (line,) = split_labels({"one long recording": [90] + [1] * 20})
    assert line.startswith(f"{START}one long recording ")


def test_labels_in_train_alone_have_a_line_of_their_own():
    assert split_labels({"rare": [4] * 2, "rock": [4] * 20}) == []


def test_many_labels_are_counted():
    (line,) = split_labels({f"label {n}": [4] * 3 for n in range(8)})
    assert line.endswith("label 4 33/33/33 and 3 more")


@pytest.mark.parametrize("given", SPLITS)
def test_splits_of_the_source_are_no_subject(given):
    windows = pd.DataFrame({"label": ["a"] * 4, "split": ["train", "valid", "test", "test"]})
    tracks = pd.DataFrame({"split": [None, given]})
    assert uneven_labels(windows, tracks, SplitConfig()) == {}
