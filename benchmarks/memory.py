"""Peak memory of caching, which must follow neither the number of recordings nor their length."""

import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.corpus import corpus
from benchmarks.measure import Row

ROOT = Path(__file__).parents[1]


def most() -> float:
    """MB that this process has needed at most. (On Linux `ru_maxrss` begins with what the parent had.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def peak(clips: int, seconds: float) -> float:
    """MB that a process needs at most to cache the mels of such a corpus."""
    with tempfile.TemporaryDirectory() as name:
        windows, tracks = corpus(Path(name), clips, seconds)
        windows.to_parquet(Path(name) / "windows.parquet")
        tracks.to_parquet(Path(name) / "tracks.parquet")
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", name], cwd=ROOT, check=True, capture_output=True, text=True
        )
    return float(ran.stdout)


def rows() -> list[Row]:
    """Eight times as many clips, and clips forty times as long."""
    small = peak(25, 30.0)
    return [
        Row("peak memory of caching 200 clips of 30 s", peak(200, 30.0), "25 clips of 30 s", small, "MB"),
        Row("peak memory of caching 5 recordings of 20 min", peak(5, 1200.0), "25 clips of 30 s", small, "MB"),
    ]


if __name__ == "__main__":
    import pandas as pd

    from pipeline.audio.representation import MelConfig
    from pipeline.cache import build, shard
    from pipeline.cache.plan import plan_shards
    from pipeline.cache.shard import code_version

    folder = Path(sys.argv[1])
    out = folder / "out"
    out.mkdir()
    tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("windows", "tracks"))
    planned = plan_shards(*tables, MelConfig())
    for item in planned:
        shard.write_shard(item, MelConfig(), 5.0, folder, out, code_version())
    build.collect_shards(planned, MelConfig(), 5.0, out, folder)
    print(most())
