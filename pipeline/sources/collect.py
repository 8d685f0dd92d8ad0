"""Collect the recordings of the source in params.yaml."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import workspace
from pipeline.core.process import worker_pool
from pipeline.core.progress import map_with_progress
from pipeline.sources import folder, gtzan, musicnet, synth
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import AudioFile, audio_folder, read_track, tracks_table

SOURCES: dict[str, Callable[[SourceConfig, Path], list[AudioFile]]] = {
    "synth": synth.list_files,
    "folder": folder.list_files,
    "gtzan": gtzan.list_files,
    "musicnet": musicnet.list_files,
}


def collect(source: SourceConfig, out: Path, workers: int | None) -> pd.DataFrame:
    """Put the recordings into `out`/audio, unless they are read in place, and return the table tracks.parquet."""
    audio = out / "audio"
    files = SOURCES[source.name](source, audio)
    with worker_pool(workers) as executor:
        if source.name == "synth":
            render = partial(synth.render_file, config=source.synth, folder=audio)
            map_with_progress(executor, render, synth.plan(source.synth), "rendering")
        read = partial(read_track, folder=audio if audio.exists() else audio_folder(source))
        tracks = tracks_table(map_with_progress(executor, read, files, "reading"))
    workspace.say(f"{len(tracks)} recordings with {tracks['label'].nunique()} labels from source {source.name}")
    for reason, count in tracks["excluded"].value_counts().items():
        workspace.say(f"  excluded: {count}, {reason}")
    return tracks
