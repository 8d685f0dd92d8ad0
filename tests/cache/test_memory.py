"""Memory of inspecting and caching does not grow with the recordings' number or length, but for small tables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
# In a process of its own, so that its peak is of just this work. Both tables of a small data set come from
# `tests.cache.dataset`, that of a large one likewise.
CODE = """
import json, sys
from pathlib import Path
from benchmarks.memory import most
from pipeline.cache.config import MelConfig, WaveformConfig
from tests.cache.dataset import cache, tables
root, out = Path(sys.argv[1]), Path(sys.argv[2])
windows, tracks = tables(root, 5.0)
for name, config in (("mel", MelConfig()), ("wave", WaveformConfig(sample_rate=22050))):
    cache(root, windows, tracks, config, out / name)
size = sum(path.stat().st_size for path in out.rglob("*.parquet") if ".kept" not in str(path))
print(json.dumps([most(), size / 2**20, len(windows)]))
"""


def peak(music: Path, out: Path) -> tuple[float, float, int]:
    """MiB that caching `music` takes at most, MiB that it makes, and its windows."""
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CODE, music, out], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def write(folder: Path, tracks: int, seconds: float) -> None:
    """WAV files of noise, which is quickly made."""
    folder.mkdir(parents=True)
    for number in range(tracks):
        noise = np.random.default_rng(number).integers(-9000, 9000, round(seconds * 22050), dtype=np.int16)
        soundfile.write(folder / f"{number}.wav", noise, 22050)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Eight recordings of 30 s, and what they take."""
    folder = tmp_path_factory.mktemp("small")
    write(folder / "music" / "a", 8, 30.0)
    return folder / "music" / "a", peak(folder / "music", folder / "out")


def test_eight_times_as_many_recordings_take_no_more_memory(small, tmp_path):
    music, (before, made, windows) = small
    for label in range(8):
        (tmp_path / "music" / str(label)).mkdir(parents=True)
        for path in music.iterdir():
            os.link(path, tmp_path / "music" / str(label) / path.name)
    after, more, many = peak(tmp_path / "music", tmp_path / "out")
    assert many == 8 * windows and more > 7 * made > 80
    print(f"{before:.0f} MiB for {windows} windows, {after:.0f} MiB for {many}")
    assert after < 1.1 * before


def test_a_recording_of_twenty_minutes_takes_no_more_memory_than_one_of_thirty_seconds(small, tmp_path):
    _, (before, *_) = small
    write(tmp_path / "music" / "short", 3, 30.0)
    write(tmp_path / "music" / "long", 1, 1200.0)
    after, _, windows = peak(tmp_path / "music", tmp_path / "out")
    assert windows == 240 + 3 * 6
    print(f"{before:.0f} MiB for 30 s, {after:.0f} MiB for 20 min (100 MiB as float32)")
    assert after < 1.1 * before
