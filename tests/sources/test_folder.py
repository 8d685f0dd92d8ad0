"""Recordings of one's own."""

import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources import folder
from pipeline.sources.config import FolderConfig, SourceConfig
from pipeline.sources.tracks import AudioFile, Track, read_track, tracks_table
from tests.recordings import make_folder


def source(path, **settings) -> SourceConfig:
    return SourceConfig(name="folder", path=str(path), folder=FolderConfig(**settings))


def touch(root, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def test_label_is_the_first_level_and_group_the_folder_below(tmp_path):
    touch(
        tmp_path, "jazz/miles/a.wav", "jazz/miles/live/b.FLAC", "jazz/c.ogg", "d.mp3", "jazz/notes.txt", "jazz/._c.ogg"
    )
    assert folder.entries(source(tmp_path)) == [
        AudioFile("d.mp3", "unlabelled", "d.mp3"),
        AudioFile("jazz/c.ogg", "jazz", "jazz/c.ogg"),
        AudioFile("jazz/miles/a.wav", "jazz", "jazz/miles"),
        AudioFile("jazz/miles/live/b.FLAC", "jazz", "jazz/miles"),
    ]
    assert {e.group for e in folder.entries(source(tmp_path, group="file"))} == {
        "d.mp3",
        "jazz/c.ogg",
        "jazz/miles/a.wav",
        "jazz/miles/live/b.FLAC",
    }


def test_csv_says_what_it_knows(tmp_path):
    touch(tmp_path, "a/x.wav", "a/y.wav", "b/z.wav")
    (tmp_path / "t.csv").write_text("path,label,group,split\nb/z.wav,,,test\na/x.wav,rock,band one,\n")
    assert folder.entries(source(tmp_path, csv="t.csv")) == [
        AudioFile("a/x.wav", "rock", "band one", None),
        AudioFile("b/z.wav", "b", "b/z.wav", "test"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\na.wav\n", "needs a column 'path'"),
        ("path\nnone.wav\n", r"line 2: there is no file .*none\.wav"),
        ("path,split\na.wav,dev\n", "line 2: split is 'dev'"),
        ("path\na.wav\na.wav\n", "more than once"),
        ("", "not a readable CSV"),
    ],
)
def test_bad_csv_is_named_with_its_line(tmp_path, content, message):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        folder.entries(source(tmp_path, csv="t.csv"))


def test_missing_folder_and_missing_csv_name_their_key(tmp_path):
    with pytest.raises(ParamsError, match=r"source\.path: there is no folder"):
        folder.entries(source(tmp_path / "gone"))
    with pytest.raises(ParamsError, match=r"source\.folder\.csv"):
        folder.entries(source(tmp_path, csv="gone.csv"))


def test_csv_outside_the_folder_is_refused_since_dvc_would_not_see_it_change(tmp_path):
    touch(tmp_path / "music", "a.wav")
    (tmp_path / "t.csv").write_text("path\na.wav\n")
    for place in ("../t.csv", str(tmp_path / "t.csv")):
        with pytest.raises(ParamsError, match=r"source\.folder\.csv: .* is not inside source\.path"):
            folder.entries(source(tmp_path / "music", csv=place))


def test_folder_without_audio(tmp_path):
    touch(tmp_path, "readme.md")
    with pytest.raises(DataError, match="no audio files"):
        folder.entries(source(tmp_path))


def test_track_ids_are_unique_whatever_the_names():
    names = ["a.wav", "a.mp3", "a.wav.flac", "b.ogg"]
    frame = tracks_table(Track(n.rsplit(".", 1)[0], n, "l", n, None, None, 1, 1, 1, "") for n in names)
    assert dict(zip(frame["path"], frame["track_id"], strict=True)) == {
        "a.wav": "a.wav",
        "a.mp3": "a.mp3",
        "a.wav.flac": "a.wav.flac",
        "b.ogg": "b",
    }


def test_tracks_table(tmp_path):
    make_folder(tmp_path, labels=1, tracks=1, seconds=2.0)
    touch(tmp_path, "label0/track0.ogg")
    entries = folder.entries(source(tmp_path))
    frame = tracks_table(read_track(e, tmp_path) for e in entries)
    assert frame["track_id"].tolist() == ["label0/track0.ogg", "label0/track0.wav"]  # the stem would stand for two
    assert frame["frames"].isna().tolist() == [True, False]
    good = frame.iloc[1]
    assert (good.sample_rate, good.channels, good.frames, len(good.sha256)) == (11025, 1, 22050, 64)
