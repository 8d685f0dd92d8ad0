"""Memory of inspecting and caching does not grow with the number or the length of recordings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
# Runs in a process of its own, whose peak memory is measured.
CODE = """
import json, sys
from pathlib import Path
from benchmarks.measure import peak_memory
from pipeline.audio.representation import MelConfig, WaveformConfig
from tests.cache.make import make_cache, make_tables
root, out = Path(sys.argv[1]), Path(sys.argv[2])
windows, tracks = make_tables(root, 5.0)
for name, config in (("mel", MelConfig()), ("wave", WaveformConfig(sample_rate=22050))):
    make_cache(root, windows, tracks, config, out / name)
size = sum(path.stat().st_size for path in out.rglob("*.parquet") if ".kept" not in str(path))
print(json.dumps([peak_memory(), size / 2**20, len(windows)]))
"""


def peak(music: Path, out: Path) -> tuple[float, float, int]:
    """Peak MiB of caching `music`, MiB of the cache, and the number of windows."""
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CODE, music, out], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def write(folder: Path, tracks: int, seconds: float) -> None:
    """Write WAV files of noise."""
    folder.mkdir(parents=True)
    for number in range(tracks):
        noise = np.random.default_rng(number).integers(-9000, 9000, round(seconds * 22050), dtype=np.int16)
        soundfile.write(folder / f"{number}.wav", noise, 22050)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Eight recordings of 30 s, and the results of `peak`."""
    folder = tmp_path_factory.mktemp("small")
    write(folder / "music" / "a", 8, 30.0)
    return folder / "music" / "a", peak(folder / "music", folder / "out")


def test_eight_times_as_many_recordings_need_no_more_memory(small, tmp_path):
    music, (before, cache_size, windows) = small
    for label in range(8):
        (tmp_path / "music" / str(label)).mkdir(parents=True)
        for path in music.iterdir():
            os.link(path, tmp_path / "music" / str(label) / path.name)
    after, large_cache_size, many = peak(tmp_path / "music", tmp_path / "out")
    assert many == 8 * windows and large_cache_size > 7 * cache_size > 80
    print(f"{before:.0f} MiB for {windows} windows, {after:.0f} MiB for {many}")
    assert after < 1.1 * before


def test_a_recording_of_twenty_minutes_needs_no_more_memory_than_one_of_thirty_seconds(small, tmp_path):
    _, (before, *_) = small
    write(tmp_path / "music" / "short", 3, 30.0)
    write(tmp_path / "music" / "long", 1, 1200.0)
    after, _, windows = peak(tmp_path / "music", tmp_path / "out")
    assert windows == 240 + 3 * 6
    print(f"{before:.0f} MiB for 30 s, {after:.0f} MiB for 20 min (100 MiB as float32)")
    assert after < 1.1 * before
