"""Which files of a folder are audio, and tables as people save them."""

import os
import re
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.imports import ROOT
from pipeline.sources.files import SUFFIXES, PathFinder, find_audio, is_audio, read_csv, walk
from tests.sources.datasets import touch

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"


@pytest.mark.parametrize(
    "suffix", ["wave", "bwf", "w64", "rf64", "caf", "mp2", "m4a", "wma", "wv", "ape", "mkv", "mp4"]
)
def test_what_ffmpeg_reads_is_audio(tmp_path, suffix):
    touch(tmp_path, f"a.{suffix}", f"b.{suffix.upper()}")
    assert find_audio(tmp_path) == [f"a.{suffix}", f"b.{suffix.upper()}"]


def test_suffixes_are_documented_and_none_is_of_a_score_a_text_or_an_image():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SUFFIXES)
    page = (ROOT / "data/music/README.md").read_text(encoding="utf-8")
    assert not [suffix for suffix in SUFFIXES if suffix[1:] not in re.findall(r"\w+", page)]
    assert not SUFFIXES & {".mid", ".midi", ".txt", ".jpg", ".png", ".cue", ".m3u", ".pdf", ".csv", ".raw", ".ts"}


def test_names_that_begin_with_a_dot_are_used(tmp_path):
    paths = [".38 Special/a.wav", "._Intro.wav", "rock/...And Justice for All.wav", "rock/.hidden/b.wav", "x/..wav"]
    touch(tmp_path, *paths)
    assert find_audio(tmp_path) == paths


def test_files_of_macos_are_left_out_without_a_word(tmp_path, capsys):
    touch(tmp_path, "jazz/a.wav", ".DS_Store", "jazz/.DS_Store", "__MACOSX/jazz/b.wav")
    for name in ("jazz/._a.wav", "._jazz", "jazz/._cover.jpg"):
        (tmp_path / name).write_bytes(APPLE_DOUBLE)
    assert find_audio(tmp_path) == ["jazz/a.wav"]
    assert capsys.readouterr().out == ""


def test_published_data_sets_know_them_by_name():
    assert is_audio("a/b.WAV") and is_audio(".x/b.au")
    assert not any(map(is_audio, ("a/._b.wav", "__MACOSX/a/b.wav", "a/b.txt", "a/b")))


def test_what_is_left_out_is_counted_and_named(tmp_path, capsys):
    others = ["b/cover.JPG", "b/back.jpg", "b/notes.txt", "b/song.mid", "b/a.wav.part", "b/README", "b/.wav"]
    touch(tmp_path, "b/a.wav", *others, ".git/x.wav", "b/@eaDir/y.wav", ".Trash-1000/files/z.wav")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert find_audio(tmp_path) == ["b/a.wav"]
    assert capsys.readouterr().out.splitlines() == [
        "  left out, files without an audio suffix (2 without any, 2 .jpg, 1 .part, 1 .txt, 1 .mid): 7, such as b/.wav",
        "  left out, links to folders: 1, such as link",
        "  left out, folders of the system (trash, versions, thumbnails): 3, such as .Trash-1000",
    ]


def test_a_message_shows_any_name_in_one_line(tmp_path, capsys):
    (Path(tmp_path) / "a\nb\x1b.txt").touch()
    assert find_audio(tmp_path) == []
    assert capsys.readouterr().out.endswith("such as a\\nb\\x1b.txt\n")


def test_an_unreadable_folder_is_refused_but_not_lost_and_found(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "lost+found/x.wav", "locked/y.wav")
    scandir = os.scandir

    def refuse(path):
        if Path(path).name in ("locked", "lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=r"locked: Permission denied; make it readable"):
        walk(tmp_path)
    (tmp_path / "locked/y.wav").unlink()
    (tmp_path / "locked").rmdir()
    assert walk(tmp_path).audio == ["a.wav"]


# Tables


def read(folder: Path, content: str | bytes, columns=("path",), optional=("label", "split")) -> list[dict[str, str]]:
    (folder / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(folder / "t.csv", "key", columns, optional).to_dict("records")


ROWS = [{"path": "a.wav", "label": "New Age", "split": "train"}, {"path": "b.wav", "label": "", "split": "test"}]
TABLE = "path,label,split\na.wav,New Age,train\nb.wav,,test\n"


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.replace(",", " , "),
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", "|"),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace("\n", "\n\n") + "\n , ,\n",
        TABLE.replace("\n", ",\n"),
        TABLE.replace("\n", ";;\n").replace(",", ";"),
        TABLE.rstrip("\n"),
        "\n\n" + TABLE,
        TABLE.replace("path,label,split", "Path, LABEL ,Split"),
        TABLE.replace("path,label,split", '\'path\',"label", "split"'),
        TABLE.replace("path,label,split", "path\u00a0,\u200blabel,split"),
        TABLE.replace("New Age", '"New Age"').replace("a.wav", '"a.wav"'),
        TABLE.encode("utf-8-sig"),
        TABLE.replace(",", "\t").encode("utf-16"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
    ],
)
def test_tables_that_are_nearly_right_are_read(tmp_path, content):
    assert read(tmp_path, content) == ROWS


def test_free_text_does_not_mislead_the_search_for_the_separator(tmp_path):
    content = 'path;label\n"a; b.wav";one, two, three\nc.wav;"x ""y"" z"\n'
    assert [row["label"] for row in read(tmp_path, content)] == ["one, two, three", 'x "y" z']
    assert read(tmp_path, "path\na.wav,\n") == [{"path": "a.wav"}]


def test_the_index_is_the_line_in_the_file(tmp_path):
    (tmp_path / "t.csv").write_text('path,label\n\na.wav,"two\nlines"\nb.wav,x\n')
    assert read_csv(tmp_path / "t.csv", "key", ["path"]).index.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        (" \n,,\n", "it is empty"),
        ("a.wav,jazz\n", r"needs a column 'path' in its first line, which has: a\.wav, jazz"),
        ("path,label,Label\na.wav,x,y\n", "has the column 'label' twice"),
        ("path,label\na.wav,x\nb.wav\n", r"line 3: has 1 cells, but the first line has 2"),
        ("path,label\na, b.wav,x\nb.wav\n", r"line 2: has 3 cells.*double quotes \(1 more lines are wrong\)"),
        ('path,label\na.wav,"x\nb.wav,y\n', "line 2: not a readable CSV table: unexpected end of data"),
        ('path,label\n"Heroes" live.wav,x\n', "line 2: not a readable CSV table"),
        ("path,label\na.wav,M\xfasica\n".encode("latin-1"), "line 2: not UTF-8 text; save the table as UTF-8"),
        (TABLE.encode("utf-16-le"), "not UTF-8 text, since it has zero bytes"),
        (b"\xff\xfe\x00", "line 1: not UTF-8 text"),
        (b"PK\x03\x04\x14\x00", "not UTF-8 text"),
        (f"path\n{'x' * 200_000}\n", "line 2: not a readable CSV table: field larger"),
    ],
)
def test_another_table_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_missing_table_is_an_error_of_its_key(tmp_path):
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(ParamsError, match=r"params\.yaml: source\.x: "):
            read_csv(path, "source.x", ["path"])


def test_columns_that_are_not_used_are_named(tmp_path, capsys):
    read(tmp_path, "path,Artist,splits,bpm,\na.wav,x,y,z\n")
    expected = "  t.csv: columns not used: artist, splits (did you mean 'split'?), bpm; it has no label, split\n"
    assert capsys.readouterr().out == expected
    read(tmp_path, TABLE)
    assert capsys.readouterr().out == ""


# Paths in tables

NFC, NFD = (unicodedata.normalize(form, "Música/ñ.wav") for form in ("NFC", "NFD"))


def find(folder: Path, text: str) -> str:
    return PathFinder(folder, walk(folder).audio).find(text)


@pytest.mark.parametrize(
    "text",
    ["jazz/a b.wav", "./jazz/a b.wav", "jazz//a b.wav", "jazz\\a b.wav", ".\\jazz\\a b.wav", "rock/../jazz/a b.wav",
     "{}/jazz/a b.wav", "{}/./jazz//a b.wav", "jazz/a\u00a0b.wav", "link/a b.wav"],
)  # fmt: skip
def test_all_spellings_of_a_path_find_its_file(tmp_path, text):
    touch(tmp_path, "jazz/a b.wav", "rock/c.wav")
    (tmp_path / "link").symlink_to("jazz")
    assert find(tmp_path, text.format(tmp_path)) == "jazz/a b.wav"


def test_an_absolute_path_may_go_through_a_link_to_the_folder(tmp_path):
    touch(tmp_path / "real", "a.wav")
    (tmp_path / "link").symlink_to("real")
    for folder in ("real", "link"):
        for typed in ("real", "link"):
            assert find(tmp_path / folder, str(tmp_path / typed / "a.wav")) == "a.wav"


def test_another_normal_form_finds_the_file_and_an_exact_one_wins(tmp_path):
    touch(tmp_path / "mac", NFD)
    assert find(tmp_path / "mac", NFC) == NFD
    touch(tmp_path / "linux", NFC)
    assert find(tmp_path / "linux", NFD) == NFC
    touch(tmp_path / "both", NFC, NFD)
    assert (find(tmp_path / "both", NFC), find(tmp_path / "both", NFD)) == (NFC, NFD)
    accented = tmp_path / unicodedata.normalize("NFD", "é")
    touch(accented, "a.wav")
    assert find(accented, unicodedata.normalize("NFC", str(accented / "a.wav"))) == "a.wav"


def test_a_disk_that_ignores_case_gives_its_own_spelling(tmp_path, monkeypatch):
    touch(tmp_path, "Jazz/A.wav")
    with pytest.raises(DataError, match=r"no file 'jazz/a\.wav' below .*did you mean 'Jazz/A\.wav'\?"):
        find(tmp_path, "jazz/a.wav")
    monkeypatch.setattr(Path, "samefile", lambda path, other: str(path).lower() == str(other).lower())
    assert find(tmp_path, "jazz/a.wav") == "Jazz/A.wav"


def test_a_path_that_leads_outside_is_refused(tmp_path):
    touch(tmp_path, "music/a.wav", "x.wav", "musical/b.wav")
    (tmp_path / "music/out").symlink_to("../musical")
    (tmp_path / "music/link.wav").symlink_to("../x.wav")
    outside = ("../x.wav", "..\\x.wav", str(tmp_path / "x.wav"), "a/../../x.wav", "out/b.wav", "../musical/b.wav")
    for text in outside:
        with pytest.raises(DataError, match=r"leads out of .*/music/; move the file into it"):
            find(tmp_path / "music", text)
    assert find(tmp_path / "music", "./link.wav") == "link.wav"  # as in DVC, a link to a file counts as the file


@pytest.mark.parametrize(
    "text", ["jazz/b.wav", "jazz", ".", "jazz/", "..a", "C:\\Music\\b.wav", "x" * 300, "a/" * 3000]
)
def test_a_missing_file_is_refused(tmp_path, text):
    touch(tmp_path, "jazz/a.wav")
    with pytest.raises(DataError, match=r"there is no file '|is a folder; list its files"):
        find(tmp_path, text)


@pytest.mark.parametrize("text", ["jazz/a", "a.wav", "jazz/a.mp3", "C:\\Music\\a.wav"])
def test_a_missing_file_may_be_a_known_one(tmp_path, text):
    touch(tmp_path, "jazz/a.wav")
    with pytest.raises(DataError, match=r"did you mean 'jazz/a\.wav'\?"):
        find(tmp_path, text)


def test_a_table_may_name_a_file_without_an_audio_suffix_or_in_a_folder_of_the_system(tmp_path):
    touch(tmp_path, "take1", ".snapshots/a.wav")
    assert find(tmp_path, "./take1") == "take1" and find(tmp_path, ".snapshots/a.wav") == ".snapshots/a.wav"


# Any input

quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
texts = st.sampled_from(["path", "Path ", "label", "split", "splits", "a.wav", '"', "''", "", " ", "\ufeff", "\0", "é"])
cells = texts | st.text(max_size=8)


@quick
@given(
    st.lists(st.lists(cells, max_size=5), max_size=5),
    st.sampled_from([",", ";", "\t", "|", ", "]),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]),
    st.binary(max_size=3),
)
def test_any_table_is_read_or_refused_in_one_line(tmp_path_factory, rows, separator, end, encoding, tail):
    content = end.join(separator.join(row) for row in rows).encode(encoding, "replace") + tail
    check_one_line(tmp_path_factory.getbasetemp(), content)


@quick
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    check_one_line(folder, content)
    check_one_line(folder, b"path,label\n" + content)


def check_one_line(folder: Path, content: bytes) -> None:
    try:
        rows = read(folder, content)
    except DataError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(isinstance(cell, str) and cell == cell.strip() for row in rows for cell in row.values())


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8)


@quick
@given(st.lists(names, min_size=1, max_size=4), st.sampled_from([".wav", ".FLAC", ".txt", "", ".wav "]))
def test_each_file_of_any_name_is_listed_once(tmp_path_factory, parts, suffix):
    folder = tmp_path_factory.mktemp("names")
    path = "/".join([part for part in parts if part not in (".", "..")] + [f"x{suffix}"])
    try:
        touch(folder, path)
    except OSError:  # too long
        return
    tree = walk(folder)
    listed = [*tree.audio, *tree.others, *tree.system]
    assert len(listed) == 1 or "__MACOSX" in parts
    for name in tree.audio + tree.others:
        assert name == path and find(folder, name) == path and find(folder, str(folder / name)) == path


def test_an_archive_of_macos_holds_each_recording_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("genres/a.wav", "__MACOSX/genres/._a.wav", "genres/._a.wav", "genres/.DS_Store"):
            archive.writestr(name, APPLE_DOUBLE)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert [name for name in archive.namelist() if is_audio(name)] == ["genres/a.wav"]
