"""The tables of stage windows."""

import pandas as pd
import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.windows.config import WindowsConfig
from pipeline.windows.plan import Rejected
from pipeline.windows.table import build, select, unsplit


def tracks(number: int) -> pd.DataFrame:
    names = [f"a/{i}" for i in range(number)]
    return pd.DataFrame(
        {"track_id": names, "path": [f"{n}.wav" for n in names], "label": "a", "group": names, "split": None}
    )


def test_ids_are_dense_and_rejects_are_kept():
    found = [([0.0, 5.0], [Rejected("a/0.wav", 10.0, "silent", "-90 dB")])] + [([0.0], [])] * 4
    windows, rejected = build(tracks(5), found, WindowsConfig())
    assert windows["window_id"].tolist() == list(range(6))
    assert windows.columns.tolist() == ["window_id", "track_id", "label", "group", "split", "start_seconds", "seconds"]
    assert rejected.to_dict("records") == [
        {"path": "a/0.wav", "start_seconds": 10.0, "reason": "silent", "detail": "-90 dB"}
    ]


def test_too_many_rejects_stop_the_stage_with_an_example():
    bad = ([], [Rejected("a/0.wav", None, "undecodable", "no known format")])
    with pytest.raises(
        DataError, match=r"40% of the recordings.*2 undecodable.*max_rejected allows 20%.*a/0.wav: no known format"
    ):
        build(tracks(5), [bad, bad, ([0.0], []), ([0.0], []), ([0.0], [])], WindowsConfig())
    windows, _ = build(tracks(5), [bad, bad, *[([0.0], [])] * 3], WindowsConfig(max_rejected=0.5))
    assert len(windows) == 3


def test_an_unusable_recording_is_not_outweighed_by_the_windows_of_a_long_one():
    bad = ([], [Rejected("a/0.wav", None, "undecodable", "no known format")])
    with pytest.raises(DataError, match="60% of the recordings"):
        build(tracks(5), [bad, bad, bad, ([5.0 * n for n in range(100)], []), ([0.0], [])], WindowsConfig())


def test_many_rejected_windows_of_good_recordings_stop_the_stage():
    silent = [Rejected("a/0.wav", 5.0 * n, "silent", "-90 dB") for n in range(6)]
    with pytest.raises(DataError, match="50% of the windows"):
        build(tracks(3), [([0.0, 5.0], silent[:2])] * 3, WindowsConfig())


def test_nothing_usable_is_an_error_even_when_every_reject_is_allowed():
    bad = ([], [Rejected("a/0.wav", None, "empty", "no bytes")])
    with pytest.raises(DataError, match="no window is usable"):
        build(tracks(1), [bad], WindowsConfig(max_rejected=1.0))


def test_unknown_label_is_named():
    with pytest.raises(ParamsError, match=r"source\.labels.*'jaz'"):
        select(tracks(2), ["jaz"])
    assert len(select(tracks(2), ["a"])) == 2


def test_unsplit_labels_are_listed():
    frame = pd.DataFrame({"label": ["a", "a", "b"], "split": ["train", "test", "train"]})
    assert unsplit(frame) == ["b"]
