"""Files that sources find: which of them are recordings, and tables that describe them."""

import os
from pathlib import Path, PurePosixPath

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE

UNREAD = {".m4a", ".aac", ".wma", ".mp4", ".wave", ".ape", ".wv", ".mka", ".webm"}  # recordings for other decoders
SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd"}


def is_audio(path: str) -> bool:
    """A known suffix, and not hidden (such as the `._name` files that macOS leaves, also in archives)."""
    parts = PurePosixPath(path).parts
    return PurePosixPath(path).suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in parts)


def audio_files(folder: Path) -> list[str]:
    """Every recording below `folder`, relative to it, in order.

    What has the suffix of one is listed whatever it is (a broken link, a pipe), so that stage windows can name it. In a
    name that is not UTF-8, which no table can hold, the bytes at fault stand as \\xNN. Links to folders are not
    followed, as DVC does not either, and are said.

    Raises:
        DataError: a folder may not be read.
    """

    def fail(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}; make it readable, or move it elsewhere")

    found, links, unread = set(), [], []
    for place, folders, files in os.walk(folder, onerror=fail):
        below = Path(place).relative_to(folder)
        links += [name for name in folders if Path(place, name).is_symlink()]
        unread += [name for name in files if Path(name).suffix.lower() in UNREAD]
        found |= {(below / name).as_posix() for name in files if is_audio((below / name).as_posix())}
    if unread:
        workspace.say(f"  in formats that are not read, so not used: {len(unread)} files, such as {sorted(unread)[0]}")
    if links:
        workspace.say(f"  links to folders, not followed: {len(links)}, such as {sorted(links)[0]}")
    return sorted(os.fsencode(path).decode("utf-8", "backslashreplace") for path in found)


def read_csv(file: Path, key: str, columns: list[str]) -> pd.DataFrame:
    """A table of strings; what is empty is an empty string.

    Args:
        file: where it is.
        key: of params.yaml, which names it.
        columns: those that it must have.

    Raises:
        ParamsError: it cannot be opened.
        DataError: it is not a table, or lacks a column.
    """
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    except OSError as error:
        raise ParamsError(f"{PARAMS_FILE}: {key}: {file.absolute()}: {error.strerror}") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{file}: not a readable CSV table: {error}") from error
    for column in columns:
        if column not in frame:
            raise DataError(f"{file}: needs a column '{column}'; it has {', '.join(frame.columns)}")
    return frame
