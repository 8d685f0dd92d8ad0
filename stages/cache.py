"""Compute one representation of every window: data/cache/<representation>/<split>-NNNNN.parquet and stats.json."""

import sys

import pandas as pd
from pydantic import TypeAdapter

from pipeline import workspace
from pipeline.cache.build import build, recordings
from pipeline.cache.config import RepresentationConfig
from pipeline.params import entry, read, section
from pipeline.runtime import RuntimeConfig, pool
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import root


def main(name: str) -> None:
    """Write data/cache/<name>."""
    config = TypeAdapter(RepresentationConfig).validate_python(entry(read(), "representations", name))
    windows = pd.read_parquet(workspace.WINDOWS / "windows.parquet")
    tracks = pd.read_parquet(workspace.RAW / "tracks.parquet")
    chosen = recordings(windows, tracks, root(section(SourceConfig, "source")))
    with workspace.output(workspace.CACHE / name) as out, pool(section(RuntimeConfig, "runtime").workers) as executor:
        stats = build(chosen, config, float(windows["seconds"].iloc[0]), out, executor)
    shape = " x ".join(map(str, config.shape(float(windows["seconds"].iloc[0]))))
    workspace.say(f"{name}: {sum(stats['windows'].values())} windows of {shape} in {len(stats['shards'])} shards")


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
