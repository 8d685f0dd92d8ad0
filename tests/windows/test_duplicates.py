"""Recordings that are the same share a group, or all but one go."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.windows.duplicates import settle
from pipeline.windows.plan import Inspected, Window


def given_(rows: list[tuple[str, str | None, str | None]]) -> tuple[pd.DataFrame, list[Inspected]]:
    """Tracks 0.wav, 1.wav, ... of (group, split, digest)."""
    frame = pd.DataFrame([(f"{n}.wav", *row[:2]) for n, row in enumerate(rows)], columns=["path", "group", "split"])
    return frame, [Inspected([Window(0.0, None)] if d else [], [], d) for _, _, d in rows]


def test_kept_copies_join_their_groups_also_over_others():
    settled, dropped = settle(
        *given_([("d", None, "x"), ("c", None, "x"), ("c", None, "y"), ("b", None, "y"), ("a", None, "z")]), keep=True
    )
    assert settled["group"].tolist() == ["b", "b", "b", "b", "a"] and dropped == []


def test_dropped_copies_leave_groups_as_they_are():
    settled, dropped = settle(*given_([("d", None, "x"), ("c", None, "x"), ("b", None, "x")]), keep=False)
    assert settled["group"].tolist() == ["d", "c", "b"]
    assert settled["copy_of"].fillna("").tolist() == ["", "0.wav", "0.wav"]
    assert [(bad.path, bad.reason, bad.detail) for bad in dropped] == [
        ("1.wav", "duplicate", "the same audio as 0.wav"),
        ("2.wav", "duplicate", "the same audio as 0.wav"),
    ]


def test_recordings_without_a_usable_window_are_no_copies():
    settled, dropped = settle(*given_([("a", None, None), ("b", None, None)]), keep=False)
    assert settled["group"].tolist() == ["a", "b"] and dropped == []


def test_a_copy_of_a_held_out_recording_never_joins_it_from_another_split():
    rows = [("a", "train", "x"), ("b", "test", "x"), ("c", "valid", "x"), ("d", None, "x"), ("e", "test", "x")]
    settled, dropped = settle(*given_(rows), keep=True)
    assert [bad.path for bad in dropped] == ["2.wav", "0.wav", "3.wav"]
    assert settled["group"].tolist() == ["a", "b", "c", "d", "b"]  # 1 and 4 are both published as test


def test_a_recording_is_where_its_group_is():
    rows = [
        ("a", "test", "1"),
        ("a", None, "x"),
        ("b", None, "x"),
        ("b", None, "y"),
        ("c", None, "y"),
        ("c", "train", "2"),
    ]
    settled, dropped = settle(*given_(rows), keep=True)
    assert settled["group"].tolist() == ["a", "a", "b", "b", "c", "c"]  # joined, they would be in test and in train
    assert [bad.path for bad in dropped] == ["2.wav", "3.wav"]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("uvwxyz")), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["train", "valid", "test"])),
    st.booleans(),
)
def test_no_audio_is_left_in_two_groups_or_two_splits(rows, placed, keep):
    frame, inspected = given_([(group, placed.get(group), digest) for group, digest in rows])
    settled, dropped = settle(frame, inspected, keep)
    gone = {bad.path for bad in dropped}
    left = frame.assign(now=settled["group"], digest=[found.digest for found in inspected])[~frame["path"].isin(gone)]
    assert (left.groupby("digest")["now"].nunique() == 1).all()
    assert (left.groupby("now")["split"].nunique(dropna=False) == 1).all()
    assert set(left["digest"]) == {digest for _, digest in rows}  # one of each stays
    if not keep:
        assert left["digest"].is_unique
