"""A folder of one's own recordings: any tree of audio files."""

import os
from pathlib import Path

import pandas as pd

from pipeline.errors import DataError, ParamsError
from pipeline.params import FILE
from pipeline.sources.config import SPLITS, SourceConfig
from pipeline.sources.tracks import Entry

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd"}
UNLABELLED = "unlabelled"


def entries(source: SourceConfig) -> list[Entry]:
    """Every audio file below `source.path` in order of its path, with label and group.

    What has the suffix of one is listed whatever it is (a broken link, a pipe), so that stage windows can name it. In a
    name that is not UTF-8, which no table can hold, the bytes at fault stand as \\xNN.

    Raises:
        ParamsError: the folder or the CSV does not exist, or the CSV lacks what is needed.
        DataError: there is no audio in it.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        raise ParamsError(f"{FILE}: source.path: there is no folder {folder.absolute()}")
    if source.folder.csv is not None:
        found = _from_csv(source, folder)
    else:
        files = sorted({_written(p.relative_to(folder)) for p in folder.rglob("*") if _is_audio(p, folder)})
        found = [_entry(path, source.folder.group) for path in files]
    if not found:
        hint = "put recordings there or set source.path (an absolute path where DVC runs in a temporary workspace)"
        raise DataError(f"{folder.absolute()}: no audio files ({', '.join(sorted(SUFFIXES))}); {hint}")
    return found


def _is_audio(path: Path, folder: Path) -> bool:
    """No folder, with a known suffix, and not hidden (such as the `._name` files that macOS leaves)."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not path.is_dir() and not hidden


def _written(path: Path) -> str:
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _entry(path: str, group_by: str) -> Entry:
    folders = path.split("/")[:-1]
    label = folders[0] if folders else UNLABELLED
    group = "/".join(folders[:2]) if group_by == "folder" and len(folders) > 1 else path
    return Entry(path, label, group)


def _from_csv(source: SourceConfig, folder: Path) -> list[Entry]:
    """What the CSV lists: only those files, each with the columns that it has and the folder's rule for the others."""
    file = folder / str(source.folder.csv)  # inside, so that DVC sees a change of it
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ParamsError(f"{FILE}: source.folder.csv: {file} is not inside source.path; move it there")
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    except OSError as error:
        raise ParamsError(f"{FILE}: source.folder.csv: {file.absolute()}: {error.strerror}") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{file}: not a readable CSV table: {error}") from error
    if "path" not in frame:
        raise DataError(f"{file}: needs a column 'path' (relative to {folder}); it has {', '.join(frame.columns)}")
    duplicated = frame.loc[frame["path"].duplicated(), "path"]
    if len(duplicated):
        raise DataError(f"{file}: lists {duplicated.iloc[0]} more than once")
    found = []
    for number, row in enumerate(frame.to_dict("records"), start=2):
        if not (folder / row["path"]).is_file():
            raise DataError(f"{file} line {number}: there is no file {folder / row['path']}")
        split = row.get("split") or None
        if split not in (None, *SPLITS):
            raise DataError(f"{file} line {number}: split is '{split}', but must be train, valid or test (or empty)")
        default = _entry(row["path"], source.folder.group)
        found.append(Entry(row["path"], row.get("label") or default.label, row.get("group") or default.group, split))
    return sorted(found, key=lambda e: e.path)
