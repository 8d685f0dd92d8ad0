"""Peak memory of caching, which must not grow with the number or the length of the recordings."""

import sys
import tempfile
from pathlib import Path

from benchmarks.corpus import corpus
from benchmarks.measure import Row, peak_memory, run_module


def peak(clips: int, seconds: float) -> float:
    """Peak memory, in MB, of a process that caches the mels of so many clips."""
    with tempfile.TemporaryDirectory() as name:
        for table, frame in zip(("windows", "tracks"), corpus(Path(name), clips, seconds), strict=True):
            frame.to_parquet(Path(name) / f"{table}.parquet")
        return float(run_module("benchmarks.memory", name))


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
    from pipeline.cache.shard import code_fingerprint

    folder = Path(sys.argv[1])
    out = folder / "out"
    out.mkdir()
    tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("windows", "tracks"))
    shards = plan_shards(*tables, MelConfig())
    for item in shards:
        shard.write_shard(item, MelConfig(), 5.0, folder, out, code_fingerprint())
    build.collect_shards(shards, MelConfig(), 5.0, out, folder)
    print(peak_memory())
