"""The table of recordings, and where their files are."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pipeline.audio.files import Recording, UndecodableError
from pipeline.core import workspace
from pipeline.sources.config import SourceConfig


@dataclass(frozen=True)
class Track:
    """One recording: a row of tracks.parquet.

    A file whose header cannot be read has no rate, channels and frames. `excluded` says why the source leaves a
    recording out, None that it is used.
    """

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


@dataclass(frozen=True)
class AudioFile:
    """A file as a source names it, before anyone has opened it."""

    path: str
    label: str
    group: str
    split: str | None = None
    excluded: str | None = None  # why the source leaves it out; None where it is used


def audio_folder(source: SourceConfig) -> Path:
    """The folder that `path` in tracks.parquet is relative to."""
    own = {"folder": source.path, "gtzan": source.gtzan.path, "musicnet": source.musicnet.path}.get(source.name)
    return workspace.RAW / "audio" if own is None else Path(own)


def read_track(entry: AudioFile, folder: Path) -> Track:
    """Read a file's header and hash its bytes; what gives none is rejected by stage windows, with the reason."""
    file = folder / entry.path
    rate = channels = frames = None
    digest = ""
    with suppress(UndecodableError), Recording(file) as recording:
        rate, channels, frames = recording.rate, recording.channels, recording.frames
    if file.is_file():  # to open a pipe would wait for ever
        with suppress(OSError):
            digest = workspace.sha256(file)
    return Track(
        track_id=entry.path.rsplit(".", 1)[0],
        path=entry.path,
        label=entry.label,
        group=entry.group,
        split=entry.split,
        excluded=entry.excluded,
        sample_rate=rate,
        channels=channels,
        frames=frames,
        sha256=digest,
    )


def tracks_table(tracks: Iterable[Track]) -> pd.DataFrame:
    """tracks.parquet, in order of path. Two files that differ in their suffix alone keep it in their id."""
    frame = pd.DataFrame([asdict(t) for t in tracks]).sort_values("path", ignore_index=True)
    while (twice := frame["track_id"].duplicated(keep=False)).any():  # a path may be the stem of another: again
        frame.loc[twice, "track_id"] = frame.loc[twice, "path"]
    for column in ("sample_rate", "channels", "frames"):
        frame[column] = frame[column].astype("Int64")
    return frame
