"""Memory of inspecting and caching does not grow with the number or the length of recordings."""

import json
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


def peak(folder: Path, seconds: list[float]) -> tuple[float, float, int]:
    """Peak MiB of caching recordings of noise with these lengths, MiB of the cache, and the number of windows."""
    (folder / "music" / "label").mkdir(parents=True)
    for number, length in enumerate(seconds):
        noise = np.random.default_rng(number).integers(-9000, 9000, round(length * 22050), dtype=np.int16)
        soundfile.write(folder / "music" / "label" / f"{number}.wav", noise, 22050)
    (folder / "out").mkdir()
    command = [sys.executable, "-c", CODE, folder / "music", folder / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The `peak` of eight recordings of 30 s."""
    return peak(tmp_path_factory.mktemp("small"), [30.0] * 8)


def test_eight_times_as_many_recordings_need_no_more_memory(small, tmp_path):
    before, cache_size, windows = small
    after, large_cache_size, many = peak(tmp_path, [30.0] * 64)
    assert many == 8 * windows and large_cache_size > 7 * cache_size > 80
    assert after < 1.1 * before


def test_a_recording_of_twenty_minutes_needs_no_more_memory_than_one_of_thirty_seconds(small, tmp_path):
    before, *_ = small
    after, _, windows = peak(tmp_path, [1200.0, 30.0, 30.0, 30.0])
    assert windows == 240 + 3 * 6
    assert after < 1.1 * before  # 20 min are 100 MiB as float32
