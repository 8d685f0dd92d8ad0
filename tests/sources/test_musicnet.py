"""Source musicnet: its layouts, its metadata, and test compositions that are also in the training recordings."""

import re
import unicodedata

import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources import musicnet
from pipeline.sources.config import MusicnetConfig, SourceConfig
from pipeline.sources.tracks import AudioFile
from tests.sources.datasets import MUSICNET, checksum, make_musicnet, pack, touch, write_metadata
from tests.sources.server import ServedFile

METADATA = "musicnet_metadata.csv"
IDS = {row[0] for row in MUSICNET}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_musicnet(tmp_path_factory.mktemp("set"), metadata=METADATA, seconds=0.1)


def list_musicnet(audio, **settings) -> dict[str, AudioFile]:
    """The files by id."""
    files = musicnet.list_files(SourceConfig(name="musicnet", musicnet=MusicnetConfig(**settings)), audio)
    return {file.path.rsplit("/", 1)[-1].removesuffix(".wav"): file for file in files}


def test_label_is_the_composer_and_group_the_composition_with_its_catalogue_number(tmp_path, folder):
    files = list_musicnet(tmp_path / "audio", path=str(folder))
    assert {name: file.label for name, file in files.items()} == {name: composer for name, _, composer, *_ in MUSICNET}
    assert files["1001"].group == files["1002"].group == "Alpha/Sonata in A/O1"
    assert files["1003"].group == "Alpha/Sonata in A/O2"  # another sonata with the same title
    assert files["1004"].group == "Alpha/Trio, for winds/O3"
    assert files["1004"].path == "musicnet/train_data/1004.wav"
    assert not (tmp_path / "audio").exists()
    assert {name: file.instrument for name, file in files.items() if file.instrument} == {
        "1004": "Wind Trio",
        "1005": "Wind Trio",
    }


def test_the_published_split_excludes_other_movements_of_test_compositions(tmp_path, folder):
    files = list_musicnet(tmp_path, path=str(folder))
    excluded = "another movement of its composition is in the test split"
    assert {name: file.excluded for name, file in files.items() if file.excluded} == {"1001": excluded}
    parts = {name: part for name, part, *_ in MUSICNET}
    assert {name: file.split for name, file in files.items()} == {
        name: "test" if part == "test" else None for name, part in parts.items()
    }


def test_the_random_split_is_left_to_stage_windows(tmp_path, folder):
    files = list_musicnet(tmp_path, path=str(folder), split="random")
    assert set(files) == IDS and {(file.split, file.excluded) for file in files.values()} == {(None, None)}


@pytest.mark.parametrize(
    ("top", "metadata", "name"),
    [("musicnet/musicnet/", f"musicnet/{METADATA}", "a.zip"), ("", METADATA, "a.tar.gz")],
)
def test_archives_of_any_layout(tmp_path, top, metadata, name):
    dataset = make_musicnet(tmp_path / "set", top, metadata, seconds=0.1)
    touch(dataset, "musicnet_midis.mid")
    files = list_musicnet(tmp_path / "audio", archive=str(pack(dataset, tmp_path / name)))
    assert set(files) == IDS
    written = {path.relative_to(tmp_path / "audio").as_posix() for path in (tmp_path / "audio").rglob("*.*")}
    assert written == {file.path for file in files.values()} | {metadata}  # neither labels nor scores


def test_the_archive_and_its_metadata_are_downloaded_once(tmp_path, project, server):
    body = pack(make_musicnet(tmp_path / "set", seconds=0.1), tmp_path / "musicnet.tar.gz").read_bytes()
    table = write_metadata(tmp_path / "table.csv").read_bytes()
    server.files |= {"/musicnet.tar.gz": ServedFile(body, drop=[len(body) // 2]), "/table.csv": ServedFile(table)}
    settings = {
        "mirrors": [server.url("/musicnet.tar.gz")],
        "checksum": checksum(body, "md5"),
        "metadata_mirrors": [server.url("/table.csv")],
        "metadata_checksum": checksum(table, "md5"),
    }
    files = list_musicnet(tmp_path / "one", **settings)
    assert set(files) == IDS and list_musicnet(tmp_path / "two", **settings) == files
    first, second, third = server.requests
    assert (first, third) == (("/musicnet.tar.gz", None), ("/table.csv", None)) and second[1].startswith("bytes=")


def test_the_published_metadata_completes_a_folder_without_it(tmp_path, project, server):
    dataset = make_musicnet(tmp_path / "set", seconds=0.1)
    table = write_metadata(tmp_path / "table.csv").read_bytes()
    server.files["/table.csv"] = ServedFile(table)
    settings = {"metadata_mirrors": [server.url("/table.csv")], "metadata_checksum": checksum(table)}
    assert set(list_musicnet(tmp_path, path=str(dataset), **settings)) == IDS
    assert sorted(path.name for path in dataset.iterdir()) == ["musicnet"]  # nothing is written there


def test_a_recording_without_metadata_is_excluded(tmp_path, folder):
    metadata = write_metadata(tmp_path / "mine.csv", skip=("1002", "2003"))
    files = list_musicnet(tmp_path, path=str(folder), metadata=str(metadata))
    reason = "it has no row in the metadata"
    # 1001 is used: the test recording of its composition is not
    assert {name: file.excluded for name, file in files.items() if file.excluded} == {"1002": reason, "2003": reason}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("id,composer\n1,x\n", DataError, "needs a column 'composition'"),
        ("id,composer,composition,catalog_name\n7,a,b,c\n7,a,b,c\n", DataError, "line 3: the id 7 is in line 2 too"),
        ("id,composer,composition,catalog_name\n7,a,b,c\n7.0,a,b,c\n", DataError, "line 3: the id 7 is in line 2 too"),
        ("id,composer,composition,catalog_name\n7,a,b,c\n,a,b,c\nx,,,\n", DataError, r"line 3: the id '' .*\(1 more"),
        (None, ParamsError, r"source\.musicnet\.metadata: .*mine\.csv: No such file"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, folder, content, error, message):
    if content is not None:
        (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(error, match=message):
        list_musicnet(tmp_path, path=str(folder), metadata=str(tmp_path / "mine.csv"))


def test_metadata_as_a_table_program_saves_it(tmp_path, folder, capsys):
    text = (folder / METADATA).read_text().replace("id,composer", " ID ,Composer", 1)
    text = re.sub(r"^(\d+),", r"\1.0,", text, flags=re.MULTILINE).replace(
        "Alpha", unicodedata.normalize("NFD", "Álpha ")
    )
    (tmp_path / "mine.csv").write_text(text.replace("\n", ",\r\n"), encoding="utf-8-sig")
    files = list_musicnet(tmp_path, path=str(folder), metadata=str(tmp_path / "mine.csv"))
    assert {file.label for file in files.values()} == {"Álpha", "Beta"}
    assert files["1001"].group == "Álpha/Sonata in A/O1" and files["1001"].excluded
    assert "columns not used" not in capsys.readouterr().out


def test_a_folder_without_recordings_is_refused_and_other_files_are_counted(tmp_path, capsys):
    with pytest.raises(DataError, match="no MusicNet recordings"):
        list_musicnet(tmp_path, path=str(touch(tmp_path / "other", "song.wav")))
    dataset = make_musicnet(tmp_path / "set", metadata=METADATA, seconds=0.1)
    touch(dataset, "musicnet/train_data/notes.wav")
    assert set(list_musicnet(tmp_path, path=str(dataset))) == IDS
    assert "skipped 1 files that are no MusicNet recordings" in capsys.readouterr().out
