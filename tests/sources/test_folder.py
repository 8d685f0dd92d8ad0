"""Source folder, and the table of recordings."""

import hashlib
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources.config import FolderConfig, SourceConfig
from pipeline.sources.folder import list_files
from pipeline.sources.tracks import AudioFile, audio_folder, read_track, tracks_table
from tests.sources.datasets import touch


def list_folder(path, **settings) -> list[AudioFile]:
    return list_files(SourceConfig(name="folder", path=str(path), folder=FolderConfig(**settings)), path)


def test_the_first_folder_is_the_label_and_the_second_the_group(tmp_path):
    paths = ["d.mp3", "jazz/c.ogg", "jazz/miles/a.wav", "jazz/miles/live/b.FLAC"]
    touch(tmp_path, *paths, "jazz/notes.txt")
    assert list_folder(tmp_path) == [
        AudioFile("d.mp3", "unlabelled", "d.mp3"),
        AudioFile("jazz/c.ogg", "jazz", "jazz/c.ogg"),
        AudioFile("jazz/miles/a.wav", "jazz", "jazz/miles"),
        AudioFile("jazz/miles/live/b.FLAC", "jazz", "jazz/miles"),
    ]
    assert [file.group for file in list_folder(tmp_path, group="file")] == paths


@pytest.mark.parametrize("group", ["folder", "file"])
def test_a_label_in_two_normal_forms_is_one_and_both_folders_are_used(tmp_path, group):
    linux, macos = (unicodedata.normalize(form, "Música/Ñandú/a.wav") for form in ("NFC", "NFD"))
    touch(tmp_path, linux, macos, "New\u00a0Age /b.wav", "New Age/c.wav", ".38 Special/d.wav", "\u00a0/e.wav")
    files = list_folder(tmp_path, group=group)
    assert [file.path for file in files if file.label == "Música"] == [macos, linux]
    expected = "Música/Ñandú" if group == "folder" else "Música/Ñandú/a.wav"
    assert {file.group for file in files if file.label == "Música"} == {expected}
    assert {file.label for file in files} == {"Música", "New Age", ".38 Special", "unlabelled"}


def test_a_csv_overrides_label_group_and_split(tmp_path):
    touch(tmp_path, "a/x.wav", "a/y.wav", "b/z.wav")
    (tmp_path / "t.csv").write_text("path,label,group,split\nb/z.wav,,,test\na/x.wav,rock,band one,\n")
    assert list_folder(tmp_path, csv="t.csv") == [
        AudioFile("a/x.wav", "rock", "band one", None),
        AudioFile("a/y.wav", "unlabelled", "a/y.wav", None, "t.csv does not list it"),
        AudioFile("b/z.wav", "b", "b/z.wav", "test"),
    ]


def test_each_row_of_a_table_that_is_nearly_right_counts(tmp_path):
    paths = [f"jazz/{name}.wav" for name in "abcdef"] + [unicodedata.normalize("NFD", "jazz/ü.wav")]
    touch(tmp_path, *paths)
    (tmp_path / "t.csv").write_text(
        f"\ufeff Path ;LABEL; Split;\r\n./jazz/a.wav; jazz ;Train;\r\njazz//b.wav;jazz; VALID ;\r\n"
        f"{tmp_path}/jazz/c.wav;jazz;test;\r\njazz\\d.wav;jazz;Validation\r\n"
        f"jazz/e.wav;jazz;training\r\njazz/f.wav;{unicodedata.normalize('NFD', 'Música')};val\r\n"
        f"{unicodedata.normalize('NFC', 'jazz/ü.wav')};jazz;TESTING\r\n;;\r\n"
    )
    files = list_folder(tmp_path, csv="t.csv")
    assert [file.path for file in files] == sorted(paths)
    assert [file.split for file in files] == ["train", "valid", "test", "valid", "train", "valid", "test"]
    assert {file.label for file in files} == {"jazz", "Música"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\na.wav\n", "needs a column 'path'"),
        ("path\nnone.wav\n", r"line 2: there is no file 'none\.wav'"),
        ("path\n\na.wav\n../x.wav\n", r"line 4: '\.\./x\.wav' leads out of"),
        ("path,split\na.wav,dev\n", "line 2: split is 'dev', but must be train, valid or test"),
        ("path,split\na.wav,train test\n", "line 2: split is 'train test'"),
        ("path\na.wav\nb.wav\na.wav\n", r"line 4: 'a\.wav' is in line 2 too"),
        ("path\na.wav\n./a.wav\n", r"line 3: 'a\.wav' is in line 2 too"),
        ("path,label\na.wav,x\n,y\n", "line 3: has no path"),
        ("path,split\nx.wav,dev\na.wav,dev\nb.wav\n", "line 4: has 1 cells"),
        ("path,split\nx.wav,\na.wav,dev\nb.wav,test\nc.wav,\n", r"line 2: .*'x\.wav'.* \(2 more lines are wrong\)"),
        ("path,group,split\na.wav,g,test\nb.wav,g,train\n", r"line 3: .* group 'g' is in test \(line 2\)"),
        ("path,subset\na.wav,Train\nb.wav,test\n", "the column 'subset' holds splits; rename it to split"),
        ("path,,label\na.wav,test,x\nb.wav,,x\n", "the column 'column_2' holds splits"),
        ("path,split\n", "lists no files"),
        ("", "not a readable CSV"),
    ],
)  # fmt: skip
def test_an_error_in_the_csv_names_its_line(tmp_path, content, message):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        list_folder(tmp_path, csv="t.csv")


def test_what_a_csv_leaves_open_is_said(tmp_path, capsys):
    touch(tmp_path, "a.wav", "b.wav", "c.wav", "d/e.wav", "cover.jpg")
    (tmp_path / "t.csv").write_text("path,label,split,genre\na.wav,,test,jazz\nb.wav,x,,rock\n")
    files = list_folder(tmp_path, csv="t.csv")
    assert files[2] == AudioFile(
        "c.wav", "unlabelled", "c.wav", None, "t.csv does not list it, nor 1 other audio files"
    )
    assert capsys.readouterr().out.splitlines() == [
        "  t.csv: columns not used: genre; it has no group",
        "  t.csv: files without a label: 1 of 2; their folder is the label",
        "  t.csv: files without a split: 1 of 2; windows.splits decides",
    ]
    (tmp_path / "t.csv").write_text("path,split\na.wav,test\nb.wav,train\nc.wav,valid\nd/e.wav,train\n")
    list_folder(tmp_path, csv="t.csv")
    assert capsys.readouterr().out == ""


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["{}.wav", "./{}.wav", " {}.wav", "/{}.wav", "{}", ".\\{}.wav"]),
            st.sampled_from(["train", "Valid", " TEST ", "validation", "val", "training", "dev", "eval", "", "x", "1"]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([",", ";", "\t", " , ", "|"]),
    st.sampled_from(["split", " Split", "SPLIT ", '"split"', "splits", "subset", "spl\u00adit", ""]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
)
def test_the_split_of_each_row_is_honoured_or_refused(tmp_path_factory, rows, separator, name, end, encoding):
    folder = tmp_path_factory.getbasetemp() / "splits"
    touch(folder, "0.wav", "1.wav", "2.wav")
    table = [("path", name), *((path.format(n), split) for n, (path, split) in enumerate(rows))]
    (folder / "t.csv").write_bytes(end.join(separator.join(row) for row in table).encode(encoding))
    given_splits = {f"{n}.wav": split.strip().lower() for n, (_, split) in enumerate(rows)}
    try:
        files = [file for file in list_folder(folder, csv="t.csv") if not file.excluded]
    except DataError as error:
        assert len(str(error).splitlines()) == 1
        return
    words = {"train": "train", "training": "train", "test": "test", "": None}
    words |= dict.fromkeys(["valid", "validation", "val"], "valid")
    if name in ("splits", "subset", ""):  # read as another column, so no word of a split may be in it alone
        assert all(file.split is None for file in files) and not set(given_splits.values()) <= words.keys() - {""}
    else:
        assert {file.path: file.split for file in files} == {path: words[word] for path, word in given_splits.items()}


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
    facts = {"bytes": 1, "tempo": None}
    table = tracks_table({"track_id": name.rsplit(".", 1)[0], "path": name, **facts} for name in names)
    expected = {"a.wav": "a.wav", "a.mp3": "a.mp3", "a.wav.flac": "a.wav.flac", "b.ogg": "b"}
    assert dict(zip(table["path"], table["track_id"], strict=True)) == expected


def test_the_table_holds_the_size_and_the_checksum_of_each_file(tmp_path):
    touch(tmp_path, "label0/track0.wav", "label0/track0.ogg")
    (tmp_path / "label0/gone.wav").symlink_to("nowhere")
    files = [replace(file, excluded="why") for file in list_folder(tmp_path)]
    table = tracks_table(read_track(file, tmp_path) for file in files)
    assert table["excluded"].tolist() == ["why"] * 3
    # the stem would name both
    assert table["track_id"].tolist() == ["label0/gone", "label0/track0.ogg", "label0/track0.wav"]
    assert table["bytes"].isna().tolist() == [True, False, False] and table["bytes"][1] == 1
    assert table["tempo"].dtype == float and table[["tempo", "key", "instrument"]].isna().all(axis=None)
    assert table["sha256"].tolist() == ["", *[hashlib.sha256(b"x").hexdigest()] * 2]


def test_the_audio_folder_depends_on_params_only():
    paths = {"gtzan": {"path": "/a"}, "musicnet": {"path": "/b"}, "path": "/c"}
    names = ("synth", "folder", "gtzan", "musicnet")
    folders = {name: str(audio_folder(SourceConfig(name=name, **paths))) for name in names}
    assert folders == {"synth": "data/raw/audio", "folder": "/c", "gtzan": "/a", "musicnet": "/b"}
    assert str(audio_folder(SourceConfig(name="gtzan"))) == "data/raw/audio"
