"""The table of recordings, tracks.parquet, and the folder of their files."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pipeline.core import workspace
from pipeline.core.text import normalise_path
from pipeline.sources.config import SourceConfig


@dataclass(frozen=True)
class AudioFile:
    """A file that a source lists, not opened yet."""

    path: str
    label: str
    group: str
    split: str | None = None
    excluded: str | None = None  # why the source excludes it; None: it is used
    tempo: float | None = None  # beats per minute; None if the source does not know it, as for the next two
    key: str | None = None  # tonic and mode, such as "C minor"
    instrument: str | None = None  # the lead instrument, or the ensemble


def audio_folder(source: SourceConfig) -> Path:
    """The folder to which `path` in tracks.parquet is relative."""
    config = source if source.name == "folder" else getattr(source, source.name)
    path = getattr(config, "path", None)
    return workspace.RAW / "audio" if path is None else Path(path)


def read_track(file: AudioFile, folder: Path) -> dict[str, Any]:
    """A row of tracks.parquet: track_id, the attributes of `file`, the file's size in bytes, and its sha256.

    An unreadable file has None and ""; stage windows rejects it with a reason.
    """
    path = folder / file.path
    row = {"track_id": normalise_path(str(PurePosixPath(file.path).with_suffix(""))), **asdict(file)}
    row |= {"bytes": None, "sha256": ""}
    if path.is_file():  # opening a pipe would wait for ever
        with suppress(OSError):
            row |= {"bytes": path.stat().st_size, "sha256": workspace.sha256(path)}
    return row


def tracks_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """tracks.parquet, sorted by path. If two files differ only in their suffix, their ids include it."""
    table = pd.DataFrame(rows).sort_values("path", ignore_index=True)
    while (duplicated := table["track_id"].duplicated(keep=False)).any():  # a path may equal another file's id: repeat
        table.loc[duplicated, "track_id"] = table.loc[duplicated, "path"]
    return table.astype({"bytes": "Int64", "tempo": "float64"})
