"""The tables of stage windows."""

import pandas as pd
import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.windows.config import WindowsConfig
from pipeline.windows.plan import Inspected, Rejected, Window
from pipeline.windows.table import build, frame, leave_out, select, unsplit


def tracks(number: int) -> pd.DataFrame:
    names = [f"a/{i}" for i in range(number)]
    return pd.DataFrame(
        {
            "track_id": names,
            "path": [f"{n}.wav" for n in names],
            "label": "a",
            "group": names,
            "split": None,
            "excluded": None,
        }
    )


def good(*starts: float, digest: str | None = None, bad: tuple[Rejected, ...] = ()) -> Inspected:
    return Inspected([Window(start, None) for start in starts], list(bad), digest)


def unusable(reason: str = "undecodable", detail: str = "no known format") -> Inspected:
    return Inspected(bad=[Rejected("a/0.wav", None, reason, detail)])


def test_ids_are_dense_and_rejects_and_repairs_are_kept():
    first = Inspected([Window(0.0, None), Window(5.0, "limited")], [Rejected("a/0.wav", 10.0, "silent", "-90 dB")])
    windows, rejected = build(tracks(5), [first] + [good(0.0)] * 4, WindowsConfig())
    assert windows["window_id"].tolist() == list(range(6))
    assert windows.columns.tolist() == [
        *("window_id", "track_id", "label", "group", "split", "start_seconds", "seconds", "repair", "copy_of")
    ]
    assert windows["repair"].dropna().to_dict() == {1: "limited"}
    assert rejected.to_dict("records") == [
        {"path": "a/0.wav", "start_seconds": 10.0, "reason": "silent", "detail": "-90 dB"}
    ]


def test_too_many_rejects_stop_the_stage_with_an_example():
    found = [unusable(), unusable(), good(0.0), good(0.0), good(0.0)]
    with pytest.raises(
        DataError, match=r"40% of the recordings.*2 undecodable.*max_rejected allows 20%.*a/0.wav: no known format"
    ):
        build(tracks(5), found, WindowsConfig())
    windows, _ = build(tracks(5), found, WindowsConfig(max_rejected=0.5))
    assert len(windows) == 3


def test_an_unusable_recording_is_not_outweighed_by_the_windows_of_a_long_one():
    found = [unusable(), unusable(), unusable(), good(*(5.0 * n for n in range(100))), good(0.0)]
    with pytest.raises(DataError, match="60% of the recordings"):
        build(tracks(5), found, WindowsConfig())


def test_many_rejected_windows_of_good_recordings_stop_the_stage():
    silent = tuple(Rejected("a/0.wav", 5.0 * n, "silent", "-90 dB") for n in range(2))
    with pytest.raises(DataError, match="50% of the windows"):
        build(tracks(3), [good(0.0, 5.0, bad=silent)] * 3, WindowsConfig())


def test_nothing_usable_is_an_error_even_when_every_reject_is_allowed():
    with pytest.raises(DataError, match="no window is usable"):
        build(tracks(1), [unusable("empty", "no bytes")], WindowsConfig(max_rejected=1.0))


def test_copies_are_no_fault():
    found = [good(0.0, digest="same") for _ in range(6)] + [good(0.0, digest=str(n)) for n in range(3)]
    settings = WindowsConfig(duplicates="drop", max_rejected=0.0)
    windows, rejected = build(tracks(9), found, settings)
    assert windows["track_id"].tolist() == ["a/0", "a/6", "a/7", "a/8"]
    assert rejected["reason"].tolist() == ["duplicate"] * 5
    assert rejected["detail"].unique().tolist() == ["the same audio as a/0.wav"]
    kept, nothing = build(tracks(9), found, WindowsConfig(max_rejected=0.0))
    assert len(kept) == 9 and nothing.empty
    same = kept[kept["track_id"].isin([f"a/{n}" for n in range(6)])]
    assert same["group"].nunique() == same["split"].nunique() == 1


def test_a_copy_in_another_published_split_is_dropped_and_the_held_out_one_stays():
    table = tracks(6).assign(split=["train", "test", "train", "valid", None, "train"])
    found = [good(0.0, digest="x"), good(0.0, digest="x"), *(good(0.0, digest=str(n)) for n in range(4))]
    windows, rejected = build(table, found, WindowsConfig(max_rejected=0.0))
    assert rejected[["path", "reason", "detail"]].to_numpy().tolist() == [
        ["a/0.wav", "duplicate", "the same audio as a/1.wav"]
    ]
    assert windows.set_index("track_id")["split"].to_dict() == {
        **{"a/1": "test", "a/2": "train", "a/3": "valid", "a/4": "train", "a/5": "train"}
    }


def test_what_the_source_excludes_is_set_apart_with_its_reason():
    table = tracks(3)
    table.loc[1, "excluded"] = "not in the filtered lists"
    used, out = leave_out(table)
    assert used["track_id"].tolist() == ["a/0", "a/2"] and used.index.tolist() == [0, 1]
    assert out == [Rejected("a/1.wav", None, "excluded", "not in the filtered lists")]
    assert leave_out(tracks(2))[1] == []


def test_an_empty_table_of_rejects_has_its_types():
    assert frame([]).dtypes.astype(str).to_dict()["start_seconds"] == "float64"
    assert len(frame([])) == 0


def test_unknown_label_is_named():
    with pytest.raises(ParamsError, match=r"source\.labels.*'jaz'"):
        select(tracks(2), ["jaz"])
    assert len(select(tracks(2), ["a"])) == 2


def test_unsplit_labels_are_listed():
    frame = pd.DataFrame({"label": ["a", "a", "b"], "split": ["train", "test", "train"]})
    assert unsplit(frame) == ["b"]


def test_a_source_that_excludes_all_that_was_chosen_is_named():
    with pytest.raises(DataError, match=r"excludes every recording of source\.labels"):
        build(tracks(0), [], WindowsConfig())
