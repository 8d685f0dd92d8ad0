"""MusicNet, and the compositions that its test recordings share with those for training."""

import sys
import types

import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.sources import musicnet
from pipeline.sources.config import MusicnetConfig
from pipeline.sources.tracks import AudioFile, read_track
from tests.sources.datasets import MUSICNET, checksum, make_musicnet, pack, write_metadata
from tests.sources.server import Served

SHARED = "another movement of its composition is in the test split"
TEST = {name for name, side, *_ in MUSICNET if side == "test"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_musicnet(tmp_path_factory.mktemp("set"), metadata="musicnet_metadata.csv", seconds=0.1)


def entries(tmp_path, **settings) -> list[AudioFile]:
    return musicnet.entries(MusicnetConfig(**settings), tmp_path / "audio")


def by_id(found: list[AudioFile]) -> dict[str, AudioFile]:
    return {e.path.rsplit("/", 1)[-1].removesuffix(".wav"): e for e in found}


def test_label_is_the_composer_and_group_the_composition_with_its_catalogue_number(tmp_path, folder):
    found = by_id(entries(tmp_path, path=str(folder)))
    assert {name: e.label for name, e in found.items()} == {name: composer for name, _, composer, *_ in MUSICNET}
    assert found["1001"].group == found["1002"].group == "Alpha/Sonata in A/O1"
    assert found["1003"].group == "Alpha/Sonata in A/O2"  # another sonata of the same title
    assert found["1004"].group == "Alpha/Trio, for winds/O3"
    assert found["1004"].path == "musicnet/train_data/1004.wav"
    assert not (tmp_path / "audio").exists()


def test_published_split_leaves_out_what_shares_a_composition_with_the_test_split(tmp_path, folder):
    found = by_id(entries(tmp_path, path=str(folder)))
    assert {name for name, e in found.items() if e.split == "test"} == TEST
    assert {name: e.excluded for name, e in found.items() if e.excluded} == {"1001": SHARED}
    assert {e.split for name, e in found.items() if name not in TEST} == {None}


def test_random_split_leaves_all_to_stage_windows(tmp_path, folder):
    found = entries(tmp_path, path=str(folder), split="random")
    assert len(found) == len(MUSICNET) and {(e.split, e.excluded) for e in found} == {(None, None)}


def test_float_wav_of_any_length_is_read(tmp_path, folder):
    track = read_track(by_id(entries(tmp_path, path=str(folder)))["1003"], folder)
    assert (track.sample_rate, track.channels, track.frames) == (44100, 1, 30870)


@pytest.mark.parametrize(
    ("top", "table", "name"),
    [
        ("musicnet/", "musicnet/musicnet_metadata.csv", "a.tar.gz"),
        ("musicnet/musicnet/", "musicnet_metadata.csv", "a.zip"),
        ("", "musicnet_metadata.csv", "a.tar.gz"),
    ],
)
def test_archives_of_every_layout(tmp_path, top, table, name):
    made = make_musicnet(tmp_path / "set", top, table, seconds=0.1)
    (made / "musicnet_midis.mid").write_bytes(b"x")
    found = entries(tmp_path, archive=str(pack(made, tmp_path / name)))
    assert set(by_id(found)) == {row[0] for row in MUSICNET}
    written = {p.relative_to(tmp_path / "audio").as_posix() for p in (tmp_path / "audio").rglob("*.*")}
    assert written == {e.path for e in found} | {table}  # neither labels nor scores


def test_zenodos_archive_and_its_table_are_downloaded_once(tmp_path, project, server):
    body = pack(make_musicnet(tmp_path / "set", seconds=0.1), tmp_path / "musicnet.tar.gz").read_bytes()
    rows = write_metadata(tmp_path / "table.csv").read_bytes()
    server.files |= {"/musicnet.tar.gz": Served(body, drop=[len(body) // 2]), "/table.csv": Served(rows)}
    config = MusicnetConfig(
        mirrors=[server.url("/musicnet.tar.gz")],
        checksum=checksum(body, "md5"),
        metadata_mirrors=[server.url("/table.csv")],
        metadata_checksum=checksum(rows, "md5"),
    )
    first = musicnet.entries(config, tmp_path / "one")
    assert len(first) == len(MUSICNET) and musicnet.entries(config, tmp_path / "two") == first
    whole, rest, table = server.asked
    assert (whole, table) == (("/musicnet.tar.gz", None), ("/table.csv", None)) and rest[1].startswith("bytes=")


def test_a_folder_without_a_table_gets_the_published_one(tmp_path, project, server):
    make_musicnet(tmp_path / "set", seconds=0.1)
    rows = write_metadata(tmp_path / "table.csv").read_bytes()
    server.files["/table.csv"] = Served(rows)
    settings = {"metadata_mirrors": [server.url("/table.csv")], "metadata_checksum": checksum(rows)}
    assert len(entries(tmp_path, path=str(tmp_path / "set"), **settings)) == len(MUSICNET)
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["musicnet"]  # nothing is written there


def test_a_recording_without_a_row_is_excluded(tmp_path, folder):
    own = write_metadata(tmp_path / "mine.csv", skip=("1002", "2003"))
    found = by_id(entries(tmp_path, path=str(folder), metadata=str(own)))
    reason = "it has no row in the metadata"
    assert {name: e.excluded for name, e in found.items() if e.excluded} == {"1002": reason, "2003": reason}
    assert found["1001"].excluded is None  # the test recording of its composition is not used either


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("id,composer\n1,x\n", DataError, "needs a column 'composition'"),
        ("id,composer,composition,catalog_name\n7,a,b,c\n7,a,b,c\n", DataError, "lists recording 7 more than once"),
        ("", DataError, "not a readable CSV"),
        (None, ParamsError, r"source\.musicnet\.metadata: .*mine\.csv: No such file"),
    ],
)
def test_a_bad_table_is_named(tmp_path, folder, content, error, message):
    if content is not None:
        (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(error, match=message):
        entries(tmp_path, path=str(folder), metadata=str(tmp_path / "mine.csv"))


def test_a_folder_without_recordings_and_other_files(tmp_path, folder, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/song.wav").write_bytes(b"x")
    with pytest.raises(DataError, match="no MusicNet recordings"):
        entries(tmp_path, path=str(tmp_path / "other"))
    made = make_musicnet(tmp_path / "set", metadata="musicnet_metadata.csv", seconds=0.1)
    (made / "musicnet/train_data/notes.wav").write_bytes(b"x")
    assert len(entries(tmp_path, path=str(made))) == len(MUSICNET)
    assert "1 files are no MusicNet recordings" in capsys.readouterr().out


def test_kaggles_copy_is_copied_with_its_table(tmp_path, monkeypatch):
    hub = make_musicnet(tmp_path / "hub", "musicnet/musicnet/", "musicnet_metadata.csv", seconds=0.1)
    module = types.ModuleType("kagglehub")
    module.dataset_download = {"imsparsh/musicnet-dataset": str(hub)}.__getitem__
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    found = entries(tmp_path, kaggle=True)
    assert set(by_id(found)) == {row[0] for row in MUSICNET}
    assert (tmp_path / "audio/musicnet_metadata.csv").is_file()
    assert all((tmp_path / "audio" / e.path).is_file() for e in found)
