"""Splits keep groups whole, follow the shares, and change only with the seed."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.sources.config import SPLITS
from pipeline.windows.config import SplitConfig, WindowsConfig
from pipeline.windows.split import assign


def table(sizes: dict[str, list[int]], split: dict[str, str] | None = None) -> pd.DataFrame:
    """Windows of labels, whose groups have the given numbers of windows."""
    rows = [(f"{label}/{g}", label) for label, counts in sizes.items() for g, n in enumerate(counts) for _ in range(n)]
    frame = pd.DataFrame(rows, columns=["group", "label"])
    frame["split"] = frame["group"].map(split or {}).astype(object)
    return frame


def test_default_source_splits_as_its_shares_say():
    frame = table({f"style{i}": [12] * 6 for i in range(10)})
    where = frame["group"].map(assign(frame, WindowsConfig()))
    counts = pd.crosstab(frame["label"], where)
    assert (counts[["train", "valid", "test"]].to_numpy() == [48, 12, 12]).all()


def test_seed_decides():
    frame = table({"a": [5] * 20, "b": [5] * 20})
    first, again, other = (assign(frame, WindowsConfig(seed=s)) for s in (0, 0, 1))
    assert first == again != other


def test_order_of_rows_does_not_matter():
    frame = table({"a": [5, 7, 2, 9] * 3})
    assert assign(frame, WindowsConfig()) == assign(frame.sample(frac=1, random_state=0), WindowsConfig())


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.lists(st.integers(1, 40), min_size=3, max_size=30), min_size=1),
    st.integers(0, 5),
)
def test_every_label_reaches_every_split_and_train_is_largest(sizes, seed):
    frame = table(sizes)
    result = assign(frame, WindowsConfig(seed=seed))
    assert set(result) == set(frame["group"])
    for label in sizes:
        assert {result[g] for g in set(frame.loc[frame["label"] == label, "group"])} == set(SPLITS)


def test_many_groups_come_close_to_the_shares():
    frame = table({"a": list(range(1, 60))})
    config = WindowsConfig(splits=SplitConfig(train=0.6, valid=0.3, test=0.1))
    shares = frame["group"].map(assign(frame, config)).value_counts(normalize=True)
    for split, share in (("train", 0.6), ("valid", 0.3), ("test", 0.1)):
        assert shares[split] == pytest.approx(share, abs=0.04)


def test_label_with_two_groups_is_wholly_in_train():
    frame = table({"a": [3] * 6, "rare": [10, 10]})
    result = assign(frame, WindowsConfig())
    assert {result["rare/0"], result["rare/1"]} == {"train"}


def test_source_has_the_last_word():
    frame = table({"a": [3] * 8}, {"a/0": "test", "a/1": "valid"})
    result = assign(frame, WindowsConfig())
    assert (result["a/0"], result["a/1"]) == ("test", "valid")


def test_a_held_out_split_that_the_source_has_filled_is_left_as_it_is():
    frame = table({"a": [6] * 20, "b": [6] * 10}, {f"a/{g}": "test" for g in range(2)})
    result = assign(frame, WindowsConfig())
    rest = [where for group, where in result.items() if group not in ("a/0", "a/1")]
    assert "test" not in rest and rest.count("train") > rest.count("valid") > 0
    both = assign(table({"a": [6] * 20}, {"a/0": "test", "a/1": "valid"}), WindowsConfig())
    assert [both[f"a/{g}"] for g in range(2, 20)] == ["train"] * 18


def test_a_train_split_of_the_source_is_still_joined_by_others():
    frame = table({"a": [6] * 20}, {f"a/{g}": "train" for g in range(10)})
    result = assign(frame, WindowsConfig())
    rest = [result[f"a/{g}"] for g in range(10, 20)]
    assert set(rest) == {"train", "valid", "test"}


def test_group_on_two_sides_is_refused():
    frame = table({"a": [3] * 8})
    frame.loc[0, "split"], frame.loc[1, "split"] = "train", "test"
    with pytest.raises(DataError, match=r"a/0.*test and train"):
        assign(frame, WindowsConfig())


def test_too_little_data_says_what_it_takes():
    with pytest.raises(DataError, match="3 groups"):
        assign(table({"a": [10, 10]}), WindowsConfig())


def test_shares_of_the_other_splits_keep_their_ratio_where_the_source_fills_one():
    frame = table({"a": [6] * 3, "b": [6] * 170}, {"a/0": "test"})
    counts = Counter(where for group, where in assign(frame, WindowsConfig()).items() if group.startswith("b"))
    assert counts == {"train": 140, "valid": 30}  # 0.7 to 0.15
