"""Splits: recordings with equal audio share one, groups stay whole, shares are met, and only the seed changes them."""

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.sources.config import SPLITS
from pipeline.windows.assignment import assign_splits, join_duplicates
from pipeline.windows.config import SplitConfig, WindowsConfig
from pipeline.windows.inspection import Inspection, Window


def recordings(rows: list[tuple[str, str | None, str | None]]) -> tuple[pd.DataFrame, list[Inspection]]:
    """Tracks 0.wav, 1.wav, ... of (group, split, digest)."""
    frame = pd.DataFrame([(f"{n}.wav", *row[:2]) for n, row in enumerate(rows)], columns=["path", "group", "split"])
    return frame, [Inspection([Window(0.0, None)] if digest else [], [], digest) for _, _, digest in rows]


def test_kept_copies_join_groups_also_through_a_third_one():
    rows = [("d", None, "x"), ("c", None, "x"), ("c", None, "y"), ("b", None, "y"), ("a", None, "z")]
    joined, dropped = join_duplicates(*recordings(rows), keep=True)
    assert joined["group"].tolist() == ["b", "b", "b", "b", "a"] and dropped == []


def test_dropped_copies_leave_groups_as_they_are():
    rows = [("d", None, "x"), ("c", None, "x"), ("b", None, "x")]
    joined, dropped = join_duplicates(*recordings(rows), keep=False)
    assert joined["group"].tolist() == ["d", "c", "b"]
    assert joined["copy_of"].fillna("").tolist() == ["", "0.wav", "0.wav"]
    assert [(copy.path, copy.reason, copy.detail) for copy in dropped] == [
        ("1.wav", "duplicate", "the same audio as 0.wav"),
        ("2.wav", "duplicate", "the same audio as 0.wav"),
    ]


def test_recordings_without_a_usable_window_are_no_copies():
    joined, dropped = join_duplicates(*recordings([("a", None, None), ("b", None, None)]), keep=False)
    assert joined["group"].tolist() == ["a", "b"] and dropped == []


def test_a_copy_of_a_held_out_recording_never_joins_it_from_another_split():
    rows = [("a", "train", "x"), ("b", "test", "x"), ("c", "valid", "x"), ("d", None, "x"), ("e", "test", "x")]
    joined, dropped = join_duplicates(*recordings(rows), keep=True)
    assert [copy.path for copy in dropped] == ["2.wav", "0.wav", "3.wav"]
    assert joined["group"].tolist() == ["a", "b", "c", "d", "b"]  # 1 and 4 are both published as test


def test_a_split_of_one_recording_holds_for_its_group():
    rows = [("a", "test", "1"), ("a", None, "x"), ("b", None, "x"), ("b", None, "y"), ("c", None, "y")]
    joined, dropped = join_duplicates(*recordings([*rows, ("c", "train", "2")]), keep=True)
    assert joined["group"].tolist() == ["a", "a", "b", "b", "c", "c"]  # joined, they would be in test and in train
    assert [copy.path for copy in dropped] == ["2.wav", "3.wav"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("uvwxyz")), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["train", "valid", "test"])),
    st.booleans(),
)
def test_equal_audio_is_in_one_group_and_one_split(rows, split_of, keep):
    frame, inspections = recordings([(group, split_of.get(group), digest) for group, digest in rows])
    joined, dropped = join_duplicates(frame, inspections, keep)
    frame = frame.assign(joined=joined["group"], digest=[inspection.digest for inspection in inspections])
    frame = frame[~frame["path"].isin({copy.path for copy in dropped})]
    assert (frame.groupby("digest")["joined"].nunique() == 1).all()
    assert (frame.groupby("joined")["split"].nunique(dropna=False) == 1).all()
    assert set(frame["digest"]) == {digest for _, digest in rows}  # one of each stays
    if not keep:
        assert frame["digest"].is_unique


def table(sizes: dict[str, list[int]], split_of: dict[str, str] | None = None) -> pd.DataFrame:
    """Windows of labels with groups of so many windows."""
    rows = [(f"{label}/{g}", label) for label, counts in sizes.items() for g, n in enumerate(counts) for _ in range(n)]
    frame = pd.DataFrame(rows, columns=["group", "label"])
    frame["split"] = frame["group"].map(split_of or {}).astype(object)
    return frame


def test_the_default_source_is_split_by_the_shares():
    frame = table({f"style{i}": [12] * 6 for i in range(10)})
    splits = frame["group"].map(assign_splits(frame, WindowsConfig()))
    counts = pd.crosstab(frame["label"], splits)
    assert (counts[["train", "valid", "test"]].to_numpy() == [48, 12, 12]).all()


def test_only_the_seed_changes_the_splits():
    frame = table({"a": [5, 7, 2, 9] * 5, "b": [5] * 20})
    shuffled = frame.sample(frac=1, random_state=0)
    assert assign_splits(frame, WindowsConfig()) == assign_splits(shuffled, WindowsConfig())
    assert assign_splits(frame, WindowsConfig()) != assign_splits(frame, WindowsConfig(seed=1))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.lists(st.integers(1, 40), min_size=3, max_size=30), min_size=1),
    st.integers(0, 5),
)
def test_every_label_reaches_every_split_and_train_is_largest(sizes, seed):
    frame = table(sizes)
    result = assign_splits(frame, WindowsConfig(seed=seed))
    assert set(result) == set(frame["group"])
    for label in sizes:
        assert {result[g] for g in set(frame.loc[frame["label"] == label, "group"])} == set(SPLITS)


def test_many_groups_come_close_to_the_shares():
    frame = table({"a": list(range(1, 60))})
    config = WindowsConfig(splits=SplitConfig(train=0.6, valid=0.3, test=0.1))
    shares = frame["group"].map(assign_splits(frame, config)).value_counts(normalize=True)
    for split, share in (("train", 0.6), ("valid", 0.3), ("test", 0.1)):
        assert shares[split] == pytest.approx(share, abs=0.04)


def test_a_label_with_two_groups_is_in_train_alone():
    frame = table({"a": [3] * 6, "rare": [10, 10]})
    result = assign_splits(frame, WindowsConfig())
    assert {result["rare/0"], result["rare/1"]} == {"train"}


def test_splits_of_the_source_stay():
    frame = table({"a": [3] * 8}, {"a/0": "test", "a/1": "valid"})
    result = assign_splits(frame, WindowsConfig())
    assert (result["a/0"], result["a/1"]) == ("test", "valid")


def test_no_group_joins_a_held_out_split_that_the_source_has_filled():
    frame = table({"a": [6] * 20, "b": [6] * 10}, {f"a/{g}": "test" for g in range(2)})
    result = assign_splits(frame, WindowsConfig())
    rest = [split for group, split in result.items() if group not in ("a/0", "a/1")]
    assert "test" not in rest and rest.count("train") > rest.count("valid") > 0
    both = assign_splits(table({"a": [6] * 20}, {"a/0": "test", "a/1": "valid"}), WindowsConfig())
    assert [both[f"a/{g}"] for g in range(2, 20)] == ["train"] * 18


def test_groups_join_a_train_split_that_the_source_has_filled():
    frame = table({"a": [6] * 20}, {f"a/{g}": "train" for g in range(10)})
    result = assign_splits(frame, WindowsConfig())
    rest = [result[f"a/{g}"] for g in range(10, 20)]
    assert set(rest) == {"train", "valid", "test"}


def test_a_group_in_two_splits_is_refused():
    frame = table({"a": [3] * 8})
    frame.loc[0, "split"], frame.loc[1, "split"] = "train", "test"
    with pytest.raises(DataError, match=r"a/0.*test and train"):
        assign_splits(frame, WindowsConfig())


def test_too_little_data_is_an_error_that_says_how_much_is_needed():
    with pytest.raises(DataError, match="3 groups"):
        assign_splits(table({"a": [10, 10]}), WindowsConfig())


def test_train_and_valid_keep_their_ratio_if_the_source_fills_test():
    frame = table({"a": [6] * 3, "b": [6] * 170}, {"a/0": "test"})
    counts = Counter(split for group, split in assign_splits(frame, WindowsConfig()).items() if group.startswith("b"))
    assert counts == {"train": 140, "valid": 30}  # 0.7 to 0.15
