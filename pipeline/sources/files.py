"""Find audio files in a folder, and read CSV tables that describe them."""

import os
import re
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd"}
UNSUPPORTED_SUFFIXES = {".m4a", ".aac", ".wma", ".mp4", ".wave", ".ape", ".wv", ".mka", ".webm"}


def is_audio(path: str) -> bool:
    """Whether the suffix is supported, and no part of the path is hidden, as macOS's `._name` files are."""
    parts = PurePosixPath(path).parts
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in parts)


def find_audio(folder: Path) -> list[str]:
    """The paths of all audio files below `folder`, relative to it and sorted.

    A broken link or a pipe with the suffix of a recording is listed too: stage windows rejects it with a reason. In a
    name that is not UTF-8, which no table can hold, \\xNN replaces each wrong byte. As in DVC, links to folders are not
    followed.

    Raises:
        DataError: a folder is not readable.
    """

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}; make it readable, or move it elsewhere")

    paths, links, unsupported = set(), [], []
    for parent, folders, names in os.walk(folder, onerror=fail):
        relative = Path(parent).relative_to(folder)
        links += [name for name in folders if Path(parent, name).is_symlink()]
        unsupported += [name for name in names if Path(name).suffix.lower() in UNSUPPORTED_SUFFIXES]
        paths |= {path for name in names if is_audio(path := (relative / name).as_posix())}
    if unsupported:
        workspace.say(f"  skipped {len(unsupported)} files of unsupported formats, such as {min(unsupported)}")
    if links:
        workspace.say(f"  skipped {len(links)} links to folders, such as {min(links)}")
    return sorted(os.fsencode(path).decode("utf-8", "backslashreplace") for path in paths)


def match_audio(folder: Path, pattern: re.Pattern[str], kind: str) -> list[re.Match[str]]:
    """Matches of the audio files below `folder` whose path fits `pattern`; DataError if there are no such files."""
    paths = find_audio(folder)
    matches = {path: match for path in paths if (match := pattern.fullmatch(path))}
    if not matches:
        raise DataError(f"{folder.absolute()}: no {kind}; see docs/data.md")
    if strays := [path for path in paths if path not in matches]:
        workspace.say(f"skipped {len(strays)} files that are no {kind}, such as {strays[0]}")
    return list(matches.values())


def read_csv(path: Path, key: str, columns: list[str]) -> pd.DataFrame:
    """A table of strings, where an empty cell is an empty string. The first of `columns` is unique.

    Raises:
        ParamsError: the file, which `key` of params.yaml names, cannot be opened.
        DataError: it is no table, lacks one of `columns`, or has a row twice.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise ParamsError(f"{PARAMS_FILE}: {key}: {path.absolute()}: {error.strerror}; correct the path") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a readable CSV table: {error}; correct the file") from error
    for column in columns:
        if column not in table:
            raise DataError(f"{path}: needs a column '{column}'; it has {', '.join(table.columns)}")
    duplicates = table.loc[table[columns[0]].duplicated(), columns[0]]
    if len(duplicates):
        raise DataError(f"{path}: lists {columns[0]} {duplicates.iloc[0]} more than once")
    return table
