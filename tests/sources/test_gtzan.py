"""GTZAN, wherever it comes from and however it is laid out."""

import sys
import types
from collections import Counter
from dataclasses import replace

import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import validate
from pipeline.sources import gtzan
from pipeline.sources.config import GtzanConfig, SourceConfig
from pipeline.sources.tracks import AudioFile, audio_folder, read_track, tracks_table
from tests.sources.datasets import checksum, make_gtzan, pack
from tests.sources.server import Served

LISTED = {"country.00019": "train", "country.00000": "valid", "jazz.00073": "test"}
UNLISTED = ["country.00008", "jazz.00033"]


def touch(folder, *paths: str):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")
    return folder


def entries(tmp_path, **settings) -> list[AudioFile]:
    return gtzan.entries(GtzanConfig(**settings), tmp_path / "audio")


def test_the_lists_are_torchaudios():
    lists = gtzan._lists()
    assert Counter(lists.values()) == {"train": 443, "valid": 197, "test": 290}
    assert {clip: lists.get(clip) for clip in [*LISTED, *UNLISTED]} == LISTED | dict.fromkeys(UNLISTED)


@pytest.mark.parametrize(
    "layout",
    [
        "genres/{g}/{c}.wav",
        "genres_original/{g}/{c}.au",
        "Data/genres_original/{g}/{c}.wav",
        "{c}.wav",
        "{g}/{c}.WAV",
        "a/b/c/{c}.au",
    ],
)
def test_a_clip_is_known_by_its_name_in_every_layout(tmp_path, layout):
    paths = {c: layout.format(g=c.split(".")[0], c=c) for c in [*LISTED, *UNLISTED]}
    touch(tmp_path / "set", *paths.values())
    found = entries(tmp_path, path=str(tmp_path / "set"))
    assert [e.path for e in found] == sorted(paths.values())
    assert {e.group: (e.path, e.label) for e in found} == {c: (p, c.split(".")[0]) for c, p in paths.items()}
    assert not (tmp_path / "audio").exists()  # read in place


def test_three_ways_to_split(tmp_path):
    touch(tmp_path / "set", *(f"{c}.wav" for c in [*LISTED, *UNLISTED]))
    path = str(tmp_path / "set")
    filtered = {e.group: (e.split, e.excluded) for e in entries(tmp_path, path=path)}
    left_out = dict.fromkeys(UNLISTED, (None, "not in the fault-filtered lists"))
    assert filtered == {c: (s, None) for c, s in LISTED.items()} | left_out
    every = {e.group: (e.split, e.excluded) for e in entries(tmp_path, path=path, split="all")}
    assert every == {c: (s, None) for c, s in LISTED.items()} | dict.fromkeys(UNLISTED, (None, None))
    random = entries(tmp_path, path=path, split="random")
    assert {(e.split, e.excluded) for e in random} == {(None, None)} and len(random) == 5


def test_other_files_are_counted_and_hidden_ones_are_none(tmp_path, capsys):
    clip = next(iter(LISTED))
    touch(tmp_path / "set", f"{clip}.wav", "mine.wav", "polka.00001.wav", "blues.1.wav", f"._{clip}.wav", "x.png")
    assert [e.group for e in entries(tmp_path, path=str(tmp_path / "set"))] == [clip]
    assert "3 files are no GTZAN clips by their names and are not used, such as blues.1.wav" in capsys.readouterr().out


def test_a_clip_that_is_there_twice_is_used_once(tmp_path):
    clip = next(iter(LISTED))
    touch(tmp_path / "set", f"au/{clip}.au", f"wav/{clip}.wav")
    first, second = entries(tmp_path, path=str(tmp_path / "set"))
    assert first.excluded is None
    assert second == replace(first, path=f"wav/{clip}.wav", split=None, excluded=f"the same clip as au/{clip}.au")


def test_excluded_clips_are_in_the_table_with_their_reason(tmp_path):
    make_gtzan(tmp_path / "set", [next(iter(LISTED)), UNLISTED[0]], seconds=0.1)
    found = entries(tmp_path, path=str(tmp_path / "set"))
    frame = tracks_table(read_track(e, tmp_path / "set") for e in found)
    reasons = dict(zip(frame["group"], frame["excluded"].fillna(""), strict=True))
    assert reasons == {next(iter(LISTED)): "", UNLISTED[0]: "not in the fault-filtered lists"}
    assert frame["frames"].tolist() == [2205, 2205]  # also of those that are left out


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_an_archive_of_ones_own_is_unpacked_and_left_alone(tmp_path, name):
    make_gtzan(tmp_path / "set", list(LISTED), "Data/genres_original/{genre}/{clip}.wav", seconds=0.1)
    touch(tmp_path / "set", "Data/features_30_sec.csv", "Data/images_original/blues/blues00000.png")
    archive = pack(tmp_path / "set", tmp_path / name)
    found = entries(tmp_path, archive=str(archive))
    assert {e.group for e in found} == set(LISTED) and archive.is_file()
    written = sorted(p.relative_to(tmp_path / "audio").as_posix() for p in (tmp_path / "audio").rglob("*.*"))
    assert written == [e.path for e in found]


def test_it_is_downloaded_once_for_all_splits(tmp_path, project, server):
    make_gtzan(tmp_path / "set", [*LISTED, UNLISTED[0]], seconds=0.1)
    body = pack(tmp_path / "set", tmp_path / "genres.tar.gz").read_bytes()
    server.files["/genres.tar.gz"] = Served(body)
    settings = {"mirrors": [server.url("/gone.tar.gz"), server.url("/genres.tar.gz")], "checksum": checksum(body)}
    first = gtzan.entries(GtzanConfig(**settings), tmp_path / "one")
    second = gtzan.entries(GtzanConfig(split="all", **settings), tmp_path / "two")
    assert [e.excluded is None for e in first].count(False) == 1 and all(e.excluded is None for e in second)
    assert server.asked == [("/gone.tar.gz", None), ("/genres.tar.gz", None)]


def test_a_truncated_archive_and_one_without_clips_are_named(tmp_path):
    make_gtzan(tmp_path / "set", list(LISTED), seconds=0.1)
    archive = pack(tmp_path / "set", tmp_path / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"a\.tar\.gz: damaged"):
        entries(tmp_path, archive=str(archive))
    touch(tmp_path / "other", "song.wav")
    with pytest.raises(DataError, match=r"other: no GTZAN clips"):
        entries(tmp_path, path=str(tmp_path / "other"))


def test_what_does_not_exist_names_its_key(tmp_path):
    with pytest.raises(ParamsError, match=r"source\.gtzan\.path: there is no folder"):
        entries(tmp_path, path=str(tmp_path / "gone"))
    with pytest.raises(ParamsError, match=r"source\.gtzan\.archive: there is no file"):
        entries(tmp_path, archive=str(tmp_path / "gone.zip"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "a", "archive": "b"}, "source.gtzan: path and archive exclude each other; set only one"),
        ({"archive": "b", "kaggle": True}, "source.gtzan: archive and kaggle exclude each other; set only one"),
        ({"checksum": "sha1:00"}, "source.gtzan.checksum"),
        ({"mirrors": []}, "source.gtzan.mirrors"),
        ({"split": "fitered"}, "source.gtzan.split"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ParamsError, match=message.replace(".", r"\.")):
        validate(SourceConfig, {"name": "gtzan", "gtzan": settings}, "source")


def test_the_root_follows_from_params_alone(project):
    own = {"gtzan": {"path": "/a"}, "musicnet": {"path": "/b"}, "path": "/c"}
    places = {
        name: str(audio_folder(SourceConfig(name=name, **own))) for name in ("synth", "folder", "gtzan", "musicnet")
    }
    assert places == {"synth": "data/raw/audio", "folder": "/c", "gtzan": "/a", "musicnet": "/b"}
    assert str(audio_folder(SourceConfig(name="gtzan"))) == "data/raw/audio"


def fake_kaggle(monkeypatch, download) -> None:
    module = types.ModuleType("kagglehub")
    module.dataset_download = download
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def test_kaggles_copy_is_copied(tmp_path, monkeypatch):
    make_gtzan(tmp_path / "hub", list(LISTED), "Data/genres_original/{genre}/{clip}.wav", seconds=0.1)
    touch(tmp_path / "hub", "Data/features_3_sec.csv")
    asked = []
    fake_kaggle(monkeypatch, lambda handle: asked.append(handle) or str(tmp_path / "hub"))
    found = entries(tmp_path, kaggle=True)
    assert asked == ["andradaolteanu/gtzan-dataset-music-genre-classification"]
    assert {e.group for e in found} == set(LISTED)
    for entry in found:
        assert (tmp_path / "audio" / entry.path).read_bytes() == (tmp_path / "hub" / entry.path).read_bytes()
    assert not list((tmp_path / "audio").rglob("*.csv"))


def test_kaggle_without_credentials_or_package_is_one_line(tmp_path, monkeypatch):
    def refuse(handle: str) -> str:
        raise ValueError("401 Client Error.\nPlease log in")

    fake_kaggle(monkeypatch, refuse)
    with pytest.raises(DataError, match=r"401 Client Error(.|\n)*KAGGLE_USERNAME"):
        entries(tmp_path, kaggle=True)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match="make setup EXTRAS=kaggle"):
        entries(tmp_path, kaggle=True)
    assert not (tmp_path / "audio").exists()
