"""The tables of stage windows."""

import pandas as pd
import pytest

from pipeline.core.errors import DataError
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import Inspection, Rejection, Window
from pipeline.windows.table import build_tables, drop_excluded, rejection_table, summary


def tracks(number: int) -> pd.DataFrame:
    names = [f"a/{i}" for i in range(number)]
    frame = pd.DataFrame({"track_id": names, "path": [f"{name}.wav" for name in names], "group": names})
    return frame.assign(label="a", split=None, excluded=None)


def usable(*starts: float, digest: str | None = None, rejections: tuple[Rejection, ...] = ()) -> Inspection:
    return Inspection([Window(start, None) for start in starts], list(rejections), digest)


def unusable(reason: str = "undecodable", detail: str = "no known format") -> Inspection:
    return Inspection(rejections=[Rejection("a/0.wav", None, reason, detail)])


def test_window_ids_are_dense_and_rejections_and_repairs_are_kept():
    silent = Rejection("a/0.wav", 10.0, "silent", "-90 dB", 5.0)
    first = Inspection([Window(0.0, None), Window(5.0, "limited")], [silent])
    windows, rejected = build_tables(tracks(5), [first] + [usable(0.0)] * 4, WindowsConfig())
    assert windows["window_id"].tolist() == list(range(6))
    assert windows.columns.tolist() == [
        *("window_id", "track_id", "label", "group", "split", "start_seconds", "seconds", "repair", "copy_of")
    ]
    assert windows["repair"].dropna().to_dict() == {1: "limited"}
    assert rejected.to_dict("records") == [
        {"path": "a/0.wav", "start_seconds": 10.0, "reason": "silent", "detail": "-90 dB", "seconds": 5.0}
    ]


def test_too_many_rejections_stop_the_stage_with_an_example():
    inspections = [unusable(), unusable(), usable(0.0), usable(0.0), usable(0.0)]
    with pytest.raises(
        DataError, match=r"40% of the recordings.*2 undecodable.*max_rejected allows 20%.*a/0.wav: no known format"
    ):
        build_tables(tracks(5), inspections, WindowsConfig())
    assert len(build_tables(tracks(5), inspections, WindowsConfig(max_rejected=0.5))[0]) == 3


def test_a_long_usable_recording_does_not_outweigh_unusable_recordings():
    inspections = [unusable(), unusable(), unusable(), usable(*(5.0 * n for n in range(100))), usable(0.0)]
    with pytest.raises(DataError, match="60% of the recordings"):
        build_tables(tracks(5), inspections, WindowsConfig())


def test_many_rejected_windows_of_usable_recordings_stop_the_stage():
    silent = tuple(Rejection("a/0.wav", 5.0 * n, "silent", "-90 dB") for n in range(2))
    with pytest.raises(DataError, match="50% of the windows"):
        build_tables(tracks(3), [usable(0.0, 5.0, rejections=silent)] * 3, WindowsConfig())


def test_no_usable_window_is_an_error_even_if_every_rejection_is_allowed():
    with pytest.raises(DataError, match="no window is usable"):
        build_tables(tracks(1), [unusable("empty", "no bytes")], WindowsConfig(max_rejected=1.0))


def test_copies_do_not_count_as_rejections():
    inspections = [usable(0.0, digest="same") for _ in range(6)] + [usable(0.0, digest=str(n)) for n in range(3)]
    windows, rejected = build_tables(tracks(9), inspections, WindowsConfig(duplicates="drop", max_rejected=0.0))
    assert windows["track_id"].tolist() == ["a/0", "a/6", "a/7", "a/8"]
    assert rejected["reason"].tolist() == ["duplicate"] * 5
    assert rejected["detail"].unique().tolist() == ["the same audio as a/0.wav"]
    windows, rejected = build_tables(tracks(9), inspections, WindowsConfig(max_rejected=0.0))
    assert len(windows) == 9 and rejected.empty
    copies = windows[windows["track_id"].isin([f"a/{n}" for n in range(6)])]
    assert copies["group"].nunique() == copies["split"].nunique() == 1


def test_a_train_copy_of_a_published_test_recording_is_dropped():
    frame = tracks(6).assign(split=["train", "test", "train", "valid", None, "train"])
    inspections = [usable(0.0, digest="x"), usable(0.0, digest="x"), *(usable(0.0, digest=str(n)) for n in range(4))]
    windows, rejected = build_tables(frame, inspections, WindowsConfig(max_rejected=0.0))
    assert rejected[["path", "reason", "detail"]].to_numpy().tolist() == [
        ["a/0.wav", "duplicate", "the same audio as a/1.wav"]
    ]
    assert windows.set_index("track_id")["split"].to_dict() == {
        **{"a/1": "test", "a/2": "train", "a/3": "valid", "a/4": "train", "a/5": "train"}
    }


def test_excluded_recordings_are_set_apart_with_the_reason():
    frame = tracks(3)
    frame.loc[1, "excluded"] = "not in the filtered lists"
    used, excluded = drop_excluded(frame)
    assert used["track_id"].tolist() == ["a/0", "a/2"] and used.index.tolist() == [0, 1]
    assert excluded == [Rejection("a/1.wav", None, "excluded", "not in the filtered lists")]
    assert drop_excluded(tracks(2))[1] == []


def test_an_empty_rejection_table_has_its_types():
    assert rejection_table([]).dtypes.astype(str).to_dict()["start_seconds"] == "float64"
    assert len(rejection_table([])) == 0


def test_the_summary_lists_labels_that_are_in_train_alone():
    frame = pd.DataFrame({"label": ["a", "a", "a", "b"], "split": ["train", "valid", "test", "train"]})
    frame = frame.assign(track_id="t", copy_of=None, repair=None)
    *_, line = summary(frame, rejection_table([]))
    assert line == "  labels with too few groups for three splits, in train alone: b"


def test_a_source_that_excludes_every_recording_is_named():
    with pytest.raises(DataError, match=r"excludes every recording of source\.labels"):
        build_tables(tracks(0), [], WindowsConfig())
