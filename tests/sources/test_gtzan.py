"""Source gtzan in all layouts, from a folder, an archive, a download and Kaggle."""

import subprocess
import sys
import types
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import validate
from pipeline.sources import gtzan
from pipeline.sources.config import SPLITS, GtzanConfig, SourceConfig
from pipeline.sources.tracks import AudioFile
from pipeline.windows.assignment import assign_splits
from pipeline.windows.config import WindowsConfig
from tests.sources.datasets import checksum, make_gtzan, pack, touch
from tests.sources.server import ServedFile

LISTED = {"country.00019": "train", "country.00000": "valid", "jazz.00073": "test"}
UNLISTED = ["country.00008", "jazz.00033"]
CLIP = "country.00019"
NOT_LISTED = "not in the fault-filtered lists"
HELD_OUT = "its artist is in a held-out list"


def fake_kagglehub(monkeypatch, download) -> None:
    module = types.ModuleType("kagglehub")
    module.dataset_download = download
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def list_gtzan(audio, **settings) -> list[AudioFile]:
    return gtzan.list_files(SourceConfig(name="gtzan", gtzan=GtzanConfig(**settings)), audio)


def clip_of(file: AudioFile) -> str:
    return Path(file.path).stem


def list_all(folder: Path, split: str) -> pd.DataFrame:
    """The files of the whole data set, by clip."""
    touch(folder, *(f"{genre}.{n:05}.wav" for genre in gtzan.GENRES for n in range(100)))
    files = list_gtzan(folder, path=str(folder), split=split)
    return pd.DataFrame([asdict(file) for file in files], index=[clip_of(file) for file in files])


def test_the_splits_are_those_of_torchaudio():
    splits = gtzan.fault_filtered_splits()
    assert Counter(splits.values()) == {"train": 443, "valid": 197, "test": 290}
    assert {clip: splits.get(clip) for clip in [*LISTED, *UNLISTED]} == LISTED | dict.fromkeys(UNLISTED)


@pytest.mark.parametrize(
    "layout", ["genres/{g}/{c}.wav", "Data/genres_original/{g}/{c}.au", "{c}.wav", "{g}/{c}.WAV", "a/b/c/{c}.au"]
)
def test_clips_are_found_by_name_in_any_layout(tmp_path, layout):
    paths = {clip: layout.format(g=clip.split(".")[0], c=clip) for clip in [*LISTED, *UNLISTED]}
    folder = touch(tmp_path / "set", *paths.values())
    files = list_gtzan(tmp_path / "audio", path=str(folder))
    assert [file.path for file in files] == sorted(paths.values())
    expected = {clip: (path, clip.split(".")[0]) for clip, path in paths.items()}
    assert {clip_of(file): (file.path, file.label) for file in files} == expected
    assert not (tmp_path / "audio").exists()  # read in place


def test_splits_filtered_all_and_random(tmp_path):
    path = str(touch(tmp_path, *(f"{clip}.wav" for clip in [*LISTED, *UNLISTED])))
    listed = {clip: (split, None) for clip, split in LISTED.items()}
    for split, expected in {
        "filtered": listed | dict.fromkeys(UNLISTED, (None, NOT_LISTED)),
        "all": listed | {"country.00008": (None, HELD_OUT), "jazz.00033": ("train", None)},
        "random": dict.fromkeys([*LISTED, *UNLISTED], (None, None)),
    }.items():
        files = list_gtzan(tmp_path, path=path, split=split)
        assert {clip_of(file): (file.split, file.excluded) for file in files} == expected


def test_the_group_of_a_clip_is_its_artist(tmp_path):
    files = list_all(tmp_path, "random")
    assert len(files) == 1000 and files["split"].isna().all() and files["excluded"].isna().all()
    assert files["group"].nunique() == 316
    marley = files.index[files["group"] == "Bob Marley"]
    assert sum(clip.startswith("reggae") for clip in marley) == 36  # 35 alone, one with Lauryn Hill
    assert sum(clip.startswith("hiphop") for clip in marley) == 3  # Lauryn Hill alone
    assert set(files.loc[files["group"] == "Queen", "label"]) == {"metal", "rock"}  # one artist, two genres
    assert files.loc["metal.00095", "group"] == files.loc["metal.00096", "group"]  # "against The" and "against the"
    assert "Earth Wind and Fire" in set(files["group"])  # a band's name is not taken apart
    unknown = files[files["group"] == files.index]
    assert len(unknown) == 81 and unknown["group"].is_unique


def test_no_artist_is_on_both_sides_of_a_random_split(tmp_path):
    files = list_all(tmp_path, "random")
    split = files["group"].map(assign_splits(files, WindowsConfig()))
    assert split.groupby(files["group"]).nunique().max() == 1
    assert (pd.crosstab(files["label"], split)[list(SPLITS)] > 0).all(axis=None)


@pytest.mark.parametrize(("setting", "in_train"), [("filtered", 443), ("all", 443 + 41)])
def test_the_published_lists_stay_and_no_other_clip_of_a_held_out_artist_is_used(tmp_path, setting, in_train):
    files = list_all(tmp_path, setting)
    used = files[files["excluded"].isna()]
    assert used["split"].value_counts().to_dict() == {"train": in_train, "test": 290, "valid": 197}
    for clip, split in gtzan.fault_filtered_splits().items():
        assert used.loc[clip, "split"] == split
    assert used["group"].map(assign_splits(used, WindowsConfig())).equals(used["split"])  # nothing moves
    assert used.groupby("group")["split"].nunique().max() == 1
    assert used.groupby("split")["group"].nunique().to_dict() == {
        "train": 122 + (setting == "all"),
        "valid": 73,
        "test": 123,
    }
    artists = pd.Series(gtzan.artist_groups())
    lists = used["split"].groupby(artists[used.index]).agg(set)
    assert lists[lists.map(len) > 1].to_dict() == {  # they recorded with an artist of another list
        "Bob Marley": {"train", "test"},
        "Donna Summer": {"train", "valid"},
        "Mariah Carey": {"train", "valid"},
    }
    added = used.index.difference(list(gtzan.fault_filtered_splits()))
    held_out = set(artists[used.index[used["split"] != "train"]])
    assert not set(artists[added]) & held_out
    assert files["excluded"].value_counts().to_dict() == ({NOT_LISTED: 70} if setting == "filtered" else {HELD_OUT: 29})


def test_the_wheel_has_the_table_of_artists():
    assert gtzan.ARTISTS.is_file() and gtzan.ARTISTS.parent.name == "sources"  # a folder that the wheel includes whole
    ignored = subprocess.run(["git", "check-ignore", "-q", gtzan.ARTISTS], cwd=gtzan.ARTISTS.parent)
    assert ignored.returncode == 1  # hatch leaves out what Git ignores


def test_other_files_are_counted_except_hidden_ones(tmp_path, capsys):
    touch(tmp_path, f"{CLIP}.wav", "mine.wav", "polka.00001.wav", "blues.1.wav", f"._{CLIP}.wav", "x.png")
    assert [clip_of(file) for file in list_gtzan(tmp_path, path=str(tmp_path))] == [CLIP]
    assert (
        "skipped 3 files that are no GTZAN clips (<genre>.<5 digits>.wav or .au), such as blues.1.wav"
        in capsys.readouterr().out
    )


def test_a_second_copy_of_a_clip_is_excluded(tmp_path):
    touch(tmp_path, f"au/{CLIP}.au", f"wav/{CLIP}.wav")
    first, second = list_gtzan(tmp_path, path=str(tmp_path))
    assert first.excluded is None
    assert second == replace(first, path=f"wav/{CLIP}.wav", split=None, excluded=f"the same clip as au/{CLIP}.au")


def test_the_clips_of_a_local_archive_are_unpacked(tmp_path):
    make_gtzan(tmp_path / "set", list(LISTED), "Data/genres_original/{genre}/{clip}.wav", seconds=0.1)
    touch(tmp_path / "set", "Data/features_30_sec.csv", "Data/images_original/blues/blues00000.png")
    archive = pack(tmp_path / "set", tmp_path / "a.tar.gz")
    files = list_gtzan(tmp_path / "audio", archive=str(archive))
    assert {clip_of(file) for file in files} == set(LISTED) and archive.is_file()
    written = sorted(path.relative_to(tmp_path / "audio").as_posix() for path in (tmp_path / "audio").rglob("*.*"))
    assert written == [file.path for file in files]


def test_one_download_serves_all_splits(tmp_path, project, server):
    make_gtzan(tmp_path / "set", [*LISTED, UNLISTED[0]], seconds=0.1)
    body = pack(tmp_path / "set", tmp_path / "genres.tar.gz").read_bytes()
    server.files["/genres.tar.gz"] = ServedFile(body)
    settings = {"mirrors": [server.url("/gone.tar.gz"), server.url("/genres.tar.gz")], "checksum": checksum(body)}
    first = list_gtzan(tmp_path / "one", **settings)
    second = list_gtzan(tmp_path / "two", split="all", **settings)
    assert [[file.excluded for file in files if file.excluded] for files in (first, second)] == [
        [NOT_LISTED],
        [HELD_OUT],
    ]
    assert server.requests == [("/gone.tar.gz", None), ("/genres.tar.gz", None)]


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"other: no GTZAN clips"):
        list_gtzan(tmp_path / "audio", path=str(touch(tmp_path / "other", "song.wav")))


def test_the_error_of_a_missing_folder_or_archive_names_its_key(tmp_path):
    with pytest.raises(ParamsError, match=r"source\.gtzan\.path: there is no folder"):
        list_gtzan(tmp_path, path=str(tmp_path / "gone"))
    with pytest.raises(ParamsError, match=r"source\.gtzan\.archive: there is no file"):
        list_gtzan(tmp_path, archive=str(tmp_path / "gone.zip"))


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
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ParamsError, match=message.replace(".", r"\.")):
        validate(SourceConfig, {"name": "gtzan", "gtzan": settings}, "source")


def test_the_clips_of_kaggle_are_copied(tmp_path, monkeypatch):
    make_gtzan(tmp_path / "hub", list(LISTED), "Data/genres_original/{genre}/{clip}.wav", seconds=0.1)
    touch(tmp_path / "hub", "Data/features_3_sec.csv")
    handles = []
    fake_kagglehub(monkeypatch, lambda handle: handles.append(handle) or str(tmp_path / "hub"))
    files = list_gtzan(tmp_path / "audio", kaggle=True)
    assert handles == ["andradaolteanu/gtzan-dataset-music-genre-classification"]
    assert {clip_of(file) for file in files} == set(LISTED)
    for file in files:
        assert (tmp_path / "audio" / file.path).read_bytes() == (tmp_path / "hub" / file.path).read_bytes()
    assert not list((tmp_path / "audio").rglob("*.csv"))


def test_without_credentials_or_the_package_kaggle_says_what_to_do(tmp_path, monkeypatch):
    def refuse(handle: str) -> str:
        raise ValueError("401 Client Error.\nPlease log in")

    fake_kagglehub(monkeypatch, refuse)
    with pytest.raises(DataError, match=r"401 Client Error(.|\n)*KAGGLE_USERNAME"):
        list_gtzan(tmp_path / "audio", kaggle=True)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match="make setup EXTRAS=kaggle"):
        list_gtzan(tmp_path / "audio", kaggle=True)
    assert not (tmp_path / "audio").exists()
