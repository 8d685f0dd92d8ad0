"""Source musicnet: recordings of chamber music, labelled by composer.

Thickstun, Harchaoui and Kakade, "Learning features of music from scratch" (2017). Its test recordings are single
movements; other movements of the same compositions are training recordings.
"""

import re
from pathlib import Path

from pipeline.core.text import normalise, printable
from pipeline.sources.config import MusicnetConfig, SourceConfig
from pipeline.sources.fetch import fetch
from pipeline.sources.files import is_audio, match_audio, read_csv, refuse_lines
from pipeline.sources.folder import UNLABELLED
from pipeline.sources.published import obtain
from pipeline.sources.tracks import AudioFile

KAGGLE = "imsparsh/musicnet-dataset"
METADATA = "musicnet_metadata.csv"
COLUMNS = ("id", "composer", "composition", "catalog_name")
ENSEMBLE = "ensemble"  # optional
OTHER_COLUMNS = ("movement", "source", "transcriber", "seconds")  # of the published table
ID = re.compile(r"0*([0-9]+)(\.0*)?")  # programs for tables write 1001 as 1001.0
RECORDING = re.compile(r"(?:.*/)?(train|test)_data/0*([0-9]+)\.wav", re.IGNORECASE)


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """All recordings `train_data/<id>.wav` and `test_data/<id>.wav`, with composer as label and composition as group.

    The split `published` keeps the test recordings as test split and excludes all other movements of their
    compositions. `random` leaves all recordings without a split. Raises as `obtain`; DataError without
    recordings, and ParamsError or DataError if the metadata is missing or wrong.
    """
    config = source.musicnet
    folder = obtain(config, "musicnet", KAGGLE, audio, _is_needed)
    matches = match_audio(folder, RECORDING, "MusicNet recordings (train_data/<id>.wav)")
    recordings = [(match[0], match[2], match[1].lower()) for match in matches]  # path, id, part
    rows = _read_metadata(config, folder)
    tested = {_composition(rows[number]) for _, number, part in recordings if part == "test" and number in rows}
    files = []
    for path, number, part in recordings:
        if number not in rows:
            files.append(AudioFile(path, UNLABELLED, number, excluded="it has no row in the metadata"))
            continue
        split, excluded, group = None, None, _composition(rows[number])
        if config.split == "published" and part == "test":
            split = "test"
        elif config.split == "published" and group in tested:
            excluded = "another movement of its composition is in the test split"
        label, instrument = rows[number]["composer"] or UNLABELLED, rows[number].get(ENSEMBLE) or None
        files.append(AudioFile(path, label, group, split, excluded, instrument=instrument))
    return files


def _composition(row: dict[str, str]) -> str:
    """Title with its catalogue number, since titles repeat: Schubert wrote more than one "Piano Sonata in A major"."""
    return f"{row['composer']}/{row['composition']}/{row['catalog_name']}"


def _is_needed(path: str) -> bool:
    return is_audio(path) or path.rsplit("/", 1)[-1] == METADATA


def _read_metadata(config: MusicnetConfig, folder: Path) -> dict[str, dict[str, str]]:
    """Rows by id, in normal form: from the user's table, the table beside the audio, or the published one."""
    key = "source.musicnet.metadata"
    if config.metadata is not None:
        csv = Path(config.metadata)
    else:
        local = min(folder.rglob(METADATA), default=None)
        csv = local or fetch(config.metadata_mirrors, config.metadata_checksum, METADATA, key)
    table = read_csv(csv, key, COLUMNS, [ENSEMBLE], ignored=OTHER_COLUMNS)
    rows: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    problems = []
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        match = ID.fullmatch(row["id"])
        if match is None:
            problems.append((line, f"the id '{printable(row['id'])}' is no number; correct it"))
        elif match[1] in rows:
            problems.append((line, f"the id {match[1]} is in line {lines[match[1]]} too; remove one of them"))
        else:
            rows[match[1]] = {column: normalise(row[column]) for column in (*COLUMNS, ENSEMBLE) if column in row}
            lines[match[1]] = line
    refuse_lines(csv, problems)
    return rows
