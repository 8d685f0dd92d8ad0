"""Make tables and caches of a folder of recordings, by the project's own code."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.audio.representation import RepresentationConfig
from pipeline.cache.build import collect_shards, compute_shards
from pipeline.cache.plan import plan_shards
from pipeline.sources.config import FolderConfig, SourceConfig
from pipeline.sources.folder import list_files
from pipeline.sources.tracks import read_track, tracks_table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import inspect_recording
from pipeline.windows.table import build_tables


def make_tables(root: Path, seconds: float = 1.0, **settings: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """windows.parquet and tracks.parquet of the recordings below `root`; each recording is a group."""
    files = list_files(SourceConfig(name="folder", path=str(root), folder=FolderConfig(group="file")), root)
    tracks = tracks_table(read_track(file, root) for file in files)
    config = WindowsConfig(seconds=seconds, **settings)
    inspections = [inspect_recording(path, root, config) for path in tracks["path"]]
    return build_tables(tracks, inspections, config)[0], tracks


def make_cache(
    root: Path,
    windows: pd.DataFrame,
    tracks: pd.DataFrame,
    config: RepresentationConfig,
    out: Path,
    open_executor: Callable[[], Any] = lambda: ThreadPoolExecutor(1),
) -> dict[str, Any]:
    """Make the whole cache in the new folder `out`, from finished shards in `out`.kept if any; its stats.json."""
    finished = out.with_suffix(".kept")
    finished.mkdir(exist_ok=True)
    out.mkdir()
    seconds = float(windows["seconds"].iloc[0])
    shards = plan_shards(windows, tracks, config)
    compute_shards(shards, config, seconds, root, finished, open_executor)
    return collect_shards(shards, config, seconds, finished, out)


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of each file in `folder`."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
