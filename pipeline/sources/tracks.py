"""The table of recordings, tracks.parquet, and the folder of their files."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.audio.files import Recording, UndecodableError
from pipeline.core import workspace
from pipeline.sources.config import SourceConfig


@dataclass(frozen=True)
class AudioFile:
    """A file that a source lists, not opened yet."""

    path: str
    label: str
    group: str
    split: str | None = None
    excluded: str | None = None  # why the source excludes it; None: it is used


@dataclass(frozen=True)
class Track:
    """A row of tracks.parquet: an `AudioFile` with its header; without a readable header, three values are None."""

    track_id: str
    path: str
    label: str
    group: str
    split: str | None
    excluded: str | None
    sample_rate: int | None
    channels: int | None
    frames: int | None
    sha256: str


def audio_folder(source: SourceConfig) -> Path:
    """The folder to which `path` in tracks.parquet is relative."""
    config = source if source.name == "folder" else getattr(source, source.name)
    path = getattr(config, "path", None)
    return workspace.RAW / "audio" if path is None else Path(path)


def read_track(file: AudioFile, folder: Path) -> Track:
    """Read a file's header and hash its bytes. If that fails, stage windows rejects the file with a reason."""
    path = folder / file.path
    rate = channels = frames = None
    digest = ""
    with suppress(UndecodableError), Recording(path) as recording:
        rate, channels, frames = recording.rate, recording.channels, recording.frames
    if path.is_file():  # opening a pipe would wait for ever
        with suppress(OSError):
            digest = workspace.sha256(path)
    header: dict[str, Any] = {"sample_rate": rate, "channels": channels, "frames": frames, "sha256": digest}
    return Track(track_id=file.path.rsplit(".", 1)[0], **asdict(file), **header)


def tracks_table(tracks: Iterable[Track]) -> pd.DataFrame:
    """tracks.parquet, sorted by path. If two files differ only in their suffix, their ids include it."""
    table = pd.DataFrame([asdict(track) for track in tracks]).sort_values("path", ignore_index=True)
    while (duplicated := table["track_id"].duplicated(keep=False)).any():  # a path may equal another file's id: repeat
        table.loc[duplicated, "track_id"] = table.loc[duplicated, "path"]
    for column in ("sample_rate", "channels", "frames"):
        table[column] = table[column].astype("Int64")
    return table
