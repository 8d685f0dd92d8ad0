"""Compute one representation of every window: data/cache/<representation>/<split>-NNNNN.parquet and stats.json."""

import shutil
import sys
from functools import partial

import pandas as pd
from pydantic import TypeAdapter

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache import build
from pipeline.cache.config import CacheConfig
from pipeline.cache.engine import executor
from pipeline.cache.plan import plan
from pipeline.core import workspace
from pipeline.core.params import RuntimeConfig, get_entry, read_params, read_section
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from stages import run


def main(name: str) -> None:
    """Write data/cache/<name>."""
    config = TypeAdapter(RepresentationConfig).validate_python(get_entry(read_params(), "representations", name))
    windows = pd.read_parquet(workspace.WINDOWS / "windows.parquet")
    tracks = pd.read_parquet(workspace.RAW / "tracks.parquet")
    seconds = float(windows["seconds"].iloc[0])
    planned = plan(windows, tracks, config)
    # Outside of DVC's outputs, which are deleted before a stage runs: a stage that was killed goes on from there.
    place = workspace.state() / "cache"
    place.mkdir(exist_ok=True)
    kept = place / f"{name}-{build.fingerprint(planned, config, seconds, tracks)}"
    with workspace.hold_lock(place / f".{kept.name}.lock", f"caching {name} from the same recordings"):
        kept.mkdir(exist_ok=True)
        with workspace.output(workspace.CACHE / name) as out:
            recordings = audio_folder(read_section(SourceConfig, "source")).absolute()
            workers = partial(
                executor, read_section(CacheConfig, "cache"), read_section(RuntimeConfig, "runtime"), kept
            )
            build.compute(planned, config, seconds, recordings, kept, workers)
            stats = build.collect(planned, config, seconds, kept, out)
        shutil.rmtree(kept, ignore_errors=True)
    shape = " x ".join(map(str, stats["shape"]))
    rows = sum(shard.size for shard in planned)
    workspace.say(f"{name}: {sum(stats['windows'].values())} windows of {shape} in {rows} rows, {len(planned)} shards")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
