"""Compute one representation of every window: data/cache/<representation>/<split>-NNNNN.parquet and stats.json."""

import sys
from functools import partial

from pipeline.audio.representation import parse_representation
from pipeline.cache import build
from pipeline.cache.config import CacheConfig
from pipeline.cache.engine import open_executor
from pipeline.cache.plan import plan_shards
from pipeline.core import workspace
from pipeline.core.artefacts import read_table
from pipeline.core.params import RuntimeConfig, get_entry, read_params, read_section
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from stages import run


def main(name: str) -> None:
    """Write data/cache/<name>."""
    config = parse_representation(get_entry(read_params(), "representations", name))
    engine, runtime = read_section(CacheConfig, "cache"), read_section(RuntimeConfig, "runtime")
    recordings = audio_folder(read_section(SourceConfig, "source")).absolute()
    windows, tracks = read_table(workspace.WINDOWS / "windows.parquet"), read_table(workspace.RAW / "tracks.parquet")
    seconds = float(windows["seconds"].iloc[0])
    shards = plan_shards(windows, tracks, config)
    resumable = build.resumable_folder(name, shards, config, seconds, tracks)
    with resumable as folder, workspace.output(workspace.CACHE / name) as out:
        workers = partial(open_executor, engine, runtime, folder)
        build.compute_shards(shards, config, seconds, recordings, folder, workers)
        stats = build.collect_shards(shards, config, seconds, folder, out)
    shape = " x ".join(map(str, stats["shape"]))
    rows = sum(shard.row_count for shard in shards)
    workspace.say(f"{name}: {sum(stats['windows'].values())} windows of {shape} in {rows} rows, {len(shards)} shards")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
