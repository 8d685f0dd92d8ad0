"""Source folder, and the table of recordings."""

from dataclasses import replace

import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources.config import FolderConfig, SourceConfig
from pipeline.sources.files import find_audio
from pipeline.sources.folder import list_files
from pipeline.sources.tracks import AudioFile, audio_folder, read_track, tracks_table
from tests.recordings import make_folder
from tests.sources.datasets import touch


def list_folder(path, **settings) -> list[AudioFile]:
    return list_files(SourceConfig(name="folder", path=str(path), folder=FolderConfig(**settings)), path)


def test_the_first_folder_is_the_label_and_the_second_the_group(tmp_path):
    paths = ["d.mp3", "jazz/c.ogg", "jazz/miles/a.wav", "jazz/miles/live/b.FLAC"]
    touch(tmp_path, *paths, "jazz/notes.txt", "jazz/._c.ogg")
    assert list_folder(tmp_path) == [
        AudioFile("d.mp3", "unlabelled", "d.mp3"),
        AudioFile("jazz/c.ogg", "jazz", "jazz/c.ogg"),
        AudioFile("jazz/miles/a.wav", "jazz", "jazz/miles"),
        AudioFile("jazz/miles/live/b.FLAC", "jazz", "jazz/miles"),
    ]
    assert [file.group for file in list_folder(tmp_path, group="file")] == paths


def test_unsupported_formats_and_links_to_folders_are_reported(tmp_path, capsys):
    touch(tmp_path, "a.wav", "b.M4A", "c.txt", "sub/d.wma")
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    assert find_audio(tmp_path) == ["a.wav"]
    output = capsys.readouterr().out
    assert "skipped 2 files of unsupported formats, such as b.M4A" in output
    assert "skipped 1 links to folders, such as linked" in output


def test_a_csv_overrides_label_group_and_split(tmp_path):
    touch(tmp_path, "a/x.wav", "a/y.wav", "b/z.wav")
    (tmp_path / "t.csv").write_text("path,label,group,split\nb/z.wav,,,test\na/x.wav,rock,band one,\n")
    assert list_folder(tmp_path, csv="t.csv") == [
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
def test_an_error_in_the_csv_names_its_line(tmp_path, content, message):
    touch(tmp_path, "a.wav")
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        list_folder(tmp_path, csv="t.csv")


def test_the_error_of_a_missing_folder_or_csv_names_its_key(tmp_path):
    with pytest.raises(ParamsError, match=r"source\.path: there is no folder"):
        list_folder(tmp_path / "gone")
    with pytest.raises(ParamsError, match=r"source\.folder\.csv"):
        list_folder(tmp_path, csv="gone.csv")


def test_a_csv_outside_the_folder_is_refused(tmp_path):
    touch(tmp_path / "music", "a.wav")
    (tmp_path / "t.csv").write_text("path\na.wav\n")
    for path in ("../t.csv", str(tmp_path / "t.csv")):
        with pytest.raises(ParamsError, match=r"source\.folder\.csv: .* is not inside source\.path"):
            list_folder(tmp_path / "music", csv=path)


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(DataError, match="no audio files"):
        list_folder(touch(tmp_path, "readme.md"))


def test_track_ids_are_unique():
    names = ["a.wav", "a.mp3", "a.wav.flac", "b.ogg"]
    header = {"sample_rate": 1, "channels": 1, "frames": 1}
    table = tracks_table({"track_id": name.rsplit(".", 1)[0], "path": name, **header} for name in names)
    expected = {"a.wav": "a.wav", "a.mp3": "a.mp3", "a.wav.flac": "a.wav.flac", "b.ogg": "b"}
    assert dict(zip(table["path"], table["track_id"], strict=True)) == expected


def test_the_table_holds_the_headers(tmp_path):
    make_folder(tmp_path, labels=1, tracks=1, seconds=2.0)
    touch(tmp_path, "label0/track0.ogg")
    files = [replace(file, excluded="why") for file in list_folder(tmp_path)]
    table = tracks_table(read_track(file, tmp_path) for file in files)
    assert table["excluded"].tolist() == ["why", "why"]
    assert table["track_id"].tolist() == ["label0/track0.ogg", "label0/track0.wav"]  # the stem would name both
    assert table["frames"].isna().tolist() == [True, False]
    track = table.iloc[1]
    assert (track.sample_rate, track.channels, track.frames, len(track.sha256)) == (11025, 1, 22050, 64)


def test_the_audio_folder_depends_on_params_only():
    paths = {"gtzan": {"path": "/a"}, "musicnet": {"path": "/b"}, "path": "/c"}
    names = ("synth", "folder", "gtzan", "musicnet")
    folders = {name: str(audio_folder(SourceConfig(name=name, **paths))) for name in names}
    assert folders == {"synth": "data/raw/audio", "folder": "/c", "gtzan": "/a", "musicnet": "/b"}
    assert str(audio_folder(SourceConfig(name="gtzan"))) == "data/raw/audio"
