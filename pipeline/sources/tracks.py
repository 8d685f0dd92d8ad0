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


def audio_folder(source: SourceConfig) -> Path:
    """The folder to which `path` in tracks.parquet is relative."""
    config = source if source.name == "folder" else getattr(source, source.name)
    path = getattr(config, "path", None)
    return workspace.RAW / "audio" if path is None else Path(path)


def read_track(file: AudioFile, folder: Path) -> dict[str, Any]:
    """A row of tracks.parquet: track_id, the attributes of `file`, sample_rate, channels, frames and sha256.

    An unreadable file has None as its last values but "" as sha256; stage windows rejects it with a reason.
    """
    path = folder / file.path
    row = {"track_id": file.path.rsplit(".", 1)[0], **asdict(file)}
    row |= {"sample_rate": None, "channels": None, "frames": None, "sha256": ""}
    with suppress(UndecodableError), Recording(path) as recording:
        row |= {"sample_rate": recording.rate, "channels": recording.channels, "frames": recording.frames}
    if path.is_file():  # opening a pipe would wait for ever
        with suppress(OSError):
            row["sha256"] = workspace.sha256(path)
    return row


def tracks_table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """tracks.parquet, sorted by path. If two files differ only in their suffix, their ids include it."""
    table = pd.DataFrame(rows).sort_values("path", ignore_index=True)
    while (duplicated := table["track_id"].duplicated(keep=False)).any():  # a path may equal another file's id: repeat
        table.loc[duplicated, "track_id"] = table.loc[duplicated, "path"]
    for column in ("sample_rate", "channels", "frames"):
        table[column] = table[column].astype("Int64")
    return table
