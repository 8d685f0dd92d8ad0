"""The published data sets from a server on this machine, through the real pipeline up to the windows."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.e2e.conftest import clone, environ
from tests.sources.datasets import MUSICNET, checksum, make_gtzan, make_musicnet, pack, write_metadata
from tests.sources.server import ServedFile, serve

pytestmark = pytest.mark.e2e
# As torchaudio lists them: three clips of a genre for each split, and one that is in no list.
GTZAN = {
    "train": ["country.00019", "country.00020", "country.00021", "jazz.00000", "jazz.00001", "jazz.00011"],
    "valid": ["country.00000", "country.00001", "country.00002", "jazz.00002", "jazz.00003", "jazz.00004"],
    "test": ["country.00030", "country.00031", "country.00032", "jazz.00073", "jazz.00074", "jazz.00075"],
}
UNLISTED = ["country.00008", "jazz.00033"]


@pytest.fixture(scope="module")
def server():
    os.environ["NO_PROXY"] = "127.0.0.1"
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def gtzan(tmp_path_factory, server):
    """A project whose mirror has a small GTZAN."""
    folder = tmp_path_factory.mktemp("gtzan")
    clips = [clip for clips in GTZAN.values() for clip in clips] + UNLISTED
    body = pack(make_gtzan(folder / "set", clips), folder / "genres.tar.gz").read_bytes()
    server.files["/genres.tar.gz"] = ServedFile(body)
    mirrors = [server.url("/gone/genres.tar.gz"), server.url("/genres.tar.gz")]
    changes = {"name": "gtzan", "gtzan": {"mirrors": mirrors, "checksum": checksum(body)}}
    return clone(tmp_path_factory.mktemp("project"), {"source": changes})


def clips_of(table: pd.DataFrame) -> list[str]:
    return sorted({track.rsplit("/")[-1] for track in table["track_id"]})


def download(project, **popen) -> subprocess.Popen:
    command = [sys.executable, "-m", "stages.download"]
    return subprocess.Popen(command, cwd=project.path, env=environ(), stdout=-1, stderr=-1, text=True, **popen)


def test_a_wrong_checksum_leaves_nothing_behind(gtzan, server):
    before = (gtzan.path / "params.yaml").read_text()
    gtzan.set({"source": {"gtzan": {"checksum": "sha256:" + "0" * 64}}})
    printed = gtzan.run("python", "-m", "stages.download", expect=1)
    (gtzan.path / "params.yaml").write_text(before)
    errors = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "its checksum is sha256:" in errors[0] and "HTTP 404" in errors[0]
    assert [p.name for p in (gtzan.path / "data").iterdir() if "raw" in p.name] == []
    assert [p.name for p in (gtzan.path / ".melisma/downloads").iterdir() if p.suffix != ".lock"] == []


def test_kill_9_in_a_download_and_the_next_run_goes_on_from_there(gtzan, server):
    served = server.files["/genres.tar.gz"]
    served.delay = 0.02
    process = download(gtzan)
    digits = hashlib.sha256(served.body).hexdigest()[:8]
    part = gtzan.path / f".melisma/downloads/{digits}-genres.tar.gz.part"
    for _ in range(600):
        if part.exists() and part.stat().st_size > len(served.body) // 4:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    left = part.stat().st_size
    served.delay = 0.0
    server.requests.clear()
    assert gtzan.repro("windows") == ["download", "windows"]
    assert len(served.body) // 4 < left < len(served.body)
    assert server.requests == [(path, f"bytes={left}-") for path in ("/gone/genres.tar.gz", "/genres.tar.gz")]
    assert not part.exists()


def test_gtzan_keeps_its_lists_and_records_what_they_leave_out(gtzan):
    gtzan.repro("windows")
    tracks = pd.read_parquet(gtzan.path / "data/raw/tracks.parquet")
    assert len(tracks) == 20 and clips_of(tracks[tracks["excluded"].notna()]) == UNLISTED
    recordings = pd.read_parquet(gtzan.path / "data/windows/recordings.parquet")
    assert set(recordings["seconds"]) == {2.0} and set(recordings["sample_rate"]) == {22050}
    windows = pd.read_parquet(gtzan.path / "data/windows/windows.parquet")
    assert {split: clips_of(rows) for split, rows in windows.groupby("split")} == GTZAN
    assert windows.loc[windows["group"] == "Leonard Bernstein", "track_id"].nunique() == 2
    rejected = pd.read_parquet(gtzan.path / "data/windows/rejected.parquet")
    assert sorted(rejected.loc[rejected["reason"] == "excluded", "path"]) == [
        "genres/country/country.00008.wav",
        "genres/jazz/jazz.00033.wav",
    ]


def test_one_genre_alone_works_and_needs_no_download(gtzan, server):
    gtzan.repro("windows")
    before = (gtzan.path / "params.yaml").read_text()
    gtzan.set({"source": {"labels": ["jazz"]}})
    server.requests.clear()
    assert gtzan.repro("windows") == ["windows"] and server.requests == []
    windows = pd.read_parquet(gtzan.path / "data/windows/windows.parquet")
    (gtzan.path / "params.yaml").write_text(before)
    assert set(windows["label"]) == {"jazz"} and set(windows["split"]) == {"train", "valid", "test"}


def test_another_split_is_unpacked_again_from_the_kept_archive(gtzan, server):
    gtzan.repro("windows")
    before = (gtzan.path / "params.yaml").read_text()
    gtzan.set({"source": {"gtzan": {"split": "all"}}})
    server.requests.clear()
    assert gtzan.repro("windows") == ["download", "windows"] and server.requests == []
    windows = pd.read_parquet(gtzan.path / "data/windows/windows.parquet")
    (gtzan.path / "params.yaml").write_text(before)
    clips = {split: clips_of(rows) for split, rows in windows.groupby("split")}
    assert clips == GTZAN | {"train": [*GTZAN["train"], "jazz.00033"]}  # Vince Gill, of country.00008, is in test


def test_an_unpack_that_is_interrupted_leaves_nothing_but_the_archive(gtzan, tmp_path):
    """Ctrl-C in the terminal, at whatever it is doing."""
    project = clone(tmp_path, {})
    (project.path / "params.yaml").write_text((gtzan.path / "params.yaml").read_text())
    downloads = project.path / ".melisma/downloads"
    for _ in range(3):
        process = download(project, start_new_session=True)
        while not list((project.path / "data").rglob(".raw.partial/audio/**/*.wav")) and process.poll() is None:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in errors, errors
        assert [p.name for p in (project.path / "data").iterdir() if "raw" in p.name] == []
        assert len(list(downloads.glob("*-genres.tar.gz"))) == 1
    project.run("python", "-m", "stages.download")
    assert len(pd.read_parquet(project.path / "data/raw/tracks.parquet")) == 20


def test_musicnet_holds_out_its_test_compositions(tmp_path, server):
    body = pack(make_musicnet(tmp_path / "set"), tmp_path / "musicnet.tar.gz").read_bytes()
    rows = write_metadata(tmp_path / "table.csv").read_bytes()
    server.files |= {"/musicnet.tar.gz": ServedFile(body, drop=[len(body) // 2]), "/table.csv": ServedFile(rows)}
    settings = {
        "mirrors": [server.url("/musicnet.tar.gz")],
        "checksum": checksum(body, "md5"),
        "metadata_mirrors": [server.url("/table.csv")],
        "metadata_checksum": checksum(rows, "md5"),
    }
    project = clone(tmp_path / "project", {"source": {"name": "musicnet", "musicnet": settings}})
    server.requests.clear()
    assert project.repro("windows") == ["download", "windows"]
    first, second, third = server.requests
    assert (first, third) == (("/musicnet.tar.gz", None), ("/table.csv", None)) and second[1].startswith("bytes=")
    recordings = pd.read_parquet(project.path / "data/windows/recordings.parquet")
    assert set(recordings["sample_rate"]) == {44100} and recordings["seconds"].nunique() == len(MUSICNET) - 1
    windows = pd.read_parquet(project.path / "data/windows/windows.parquet")
    sides = windows.groupby("track_id")["split"].first()
    sides.index = sides.index.str.rsplit("/").str[-1]
    assert sorted(sides[sides == "test"].index) == [name for name, side, *_ in MUSICNET if side == "test"]
    assert "1001" not in sides and len(sides) == len(MUSICNET) - 1
    assert set(sides) == {"train", "valid", "test"} and sides["1004"] == sides["1005"]
    rejected = pd.read_parquet(project.path / "data/windows/rejected.parquet")
    assert rejected.loc[rejected["reason"] == "excluded", "path"].tolist() == ["musicnet/train_data/1001.wav"]
