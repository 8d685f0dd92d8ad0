"""MusicNet: recordings of chamber music, labelled by composer.

Thickstun, Harchaoui and Kakade, "Learning features of music from scratch" (2017). Its published test recordings are
single movements of compositions whose other movements are for training.
"""

import re
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.sources.config import MusicnetConfig
from pipeline.sources.fetch import fetch
from pipeline.sources.files import audio_files, is_audio, read_csv
from pipeline.sources.folder import UNLABELLED
from pipeline.sources.obtain import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "imsparsh/musicnet-dataset"
METADATA = "musicnet_metadata.csv"
COLUMNS = ["id", "composer", "composition", "catalog_name"]
RECORDING = re.compile(r"(?:.*/)?(train|test)_data/(\d+)\.wav", re.IGNORECASE)


def entries(config: MusicnetConfig, audio: Path) -> list[AudioFile]:
    """Every recording `train_data/<id>.wav` and `test_data/<id>.wav`; label composer, group composition.

    Args:
        config: where it is, and its split: `published` keeps its test recordings and excludes what else there is of
            their compositions, `random` leaves all without a split.
        audio: the folder for files that are not read where they are.

    Raises:
        ParamsError, DataError: as `obtain`; there is no recording in it; or the metadata cannot be used.
    """
    folder = obtain(config, "musicnet", KAGGLE, audio, _wanted)
    files = audio_files(folder)
    found = [match for path in files if (match := RECORDING.fullmatch(path))]
    if not found:
        raise DataError(f"{folder.absolute()}: no MusicNet recordings (train_data/<id>.wav); see docs/data.md")
    if len(found) < len(files):
        stray = next(path for path in files if not RECORDING.fullmatch(path))
        number = len(files) - len(found)
        workspace.say(f"{number} files are no MusicNet recordings by their names and are not used, such as {stray}")
    rows = _metadata(config, folder)
    heard = {_group(rows[m[2]]) for m in found if m[1].lower() == "test" and m[2] in rows}
    return [_entry(m[0], m[2], m[1].lower(), rows, heard if config.split == "published" else None) for m in found]


def _entry(path: str, number: str, side: str, rows: dict[str, Any], heard: set[str] | None) -> AudioFile:
    """A recording of `side` train or test; `heard` are the compositions in the published test split, if it counts."""
    if number not in rows:
        return AudioFile(path, UNLABELLED, number, excluded="it has no row in the metadata")
    label, group = rows[number]["composer"], _group(rows[number])
    if heard is None:
        return AudioFile(path, label, group)
    if side == "test":
        return AudioFile(path, label, group, "test")
    excluded = "another movement of its composition is in the test split" if group in heard else None
    return AudioFile(path, label, group, excluded=excluded)


def _group(row: dict[str, str]) -> str:
    """A composition: titles alone repeat (Schubert wrote more than one "Piano Sonata in A major")."""
    return f"{row['composer']}/{row['composition']}/{row['catalog_name']}"


def _wanted(path: str) -> bool:
    return is_audio(path) or path.rsplit("/", 1)[-1] == METADATA


def _metadata(config: MusicnetConfig, folder: Path) -> dict[str, Any]:
    """Rows by id: of the user's own table, of the one beside the audio, or of the published one."""
    key = "source.musicnet.metadata"
    if config.metadata is not None:
        file = Path(config.metadata)
    else:
        beside = min(folder.rglob(METADATA), default=None)
        file = beside or fetch(config.metadata_mirrors, config.metadata_checksum, METADATA, key)
    frame = read_csv(file, key, COLUMNS)
    twice = frame.loc[frame["id"].duplicated(), "id"]
    if len(twice):
        raise DataError(f"{file}: lists recording {twice.iloc[0]} more than once")
    return {row["id"]: row for row in frame.to_dict("records")}
