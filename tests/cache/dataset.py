"""From a folder of recordings to the tables that the cache is made from, by the project's own code."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache.build import collect, compute
from pipeline.cache.plan import plan
from pipeline.sources import folder
from pipeline.sources.config import FolderConfig, SourceConfig
from pipeline.sources.tracks import read_track, tracks_table
from pipeline.windows import plan as windows_plan
from pipeline.windows.config import WindowsConfig
from pipeline.windows.table import build


def tables(root: Path, seconds: float = 1.0, **settings: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """windows.parquet and tracks.parquet of the recordings below `root`, each of them a group."""
    entries = folder.entries(SourceConfig(name="folder", path=str(root), folder=FolderConfig(group="file")))
    tracks = tracks_table(read_track(entry, root) for entry in entries)
    config = WindowsConfig(seconds=seconds, **settings)
    found = [windows_plan.inspect((path, None), root, config) for path in tracks["path"]]
    return build(tracks, found, config)[0], tracks


def cache(
    root: Path,
    windows: pd.DataFrame,
    tracks: pd.DataFrame,
    config: RepresentationConfig,
    out: Path,
    workers: Callable[[], Any] = lambda: ThreadPoolExecutor(1),
) -> dict[str, Any]:
    """Make the whole cache in the folder `out`, with what is finished in `out`.kept; its stats.json."""
    kept = out.with_suffix(".kept")
    kept.mkdir(exist_ok=True)
    out.mkdir()
    seconds = float(windows["seconds"].iloc[0])
    planned = plan(windows, tracks, config)
    compute(planned, config, seconds, root, kept, workers)
    return collect(planned, config, seconds, kept, out)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of it."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
