"""Source folder: your recordings, any tree of audio files."""

from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.core.text import normalise, normalise_path, printable
from pipeline.sources.config import SPLITS, SourceConfig
from pipeline.sources.files import PathFinder, find_audio, read_csv, refuse_lines, walk
from pipeline.sources.tracks import AudioFile

UNLABELLED = "unlabelled"
OPTIONAL_COLUMNS = ("label", "group", "split")
# Words that mean one split to everybody. "dev" and "eval" do not: some authors train on "dev" or tune on "eval".
SPLIT_WORDS = {split: split for split in SPLITS} | {
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "testing": "test",
}
# Words for which a column is refused that is not called split.
SPLIT_FLAGS = {"train", "valid", "test", "dev", "development", "eval", "evaluation", "holdout", "public", "private"}


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """The audio files below `source.path`, sorted by path; they are read in place, so `audio` is not used.

    Labels and groups are in normal form (`normalise`); the path of a file is spelled as on the disk.

    ParamsError if there is no such folder or CSV; DataError if the folder holds no audio or the CSV is wrong.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        raise ParamsError(f"{PARAMS_FILE}: source.path: there is no folder {folder.absolute()}")
    if source.folder.csv is not None:
        files = _read_csv(source, folder)
    else:
        files = [_from_path(path, source.folder.group) for path in find_audio(folder)]
    if not files:
        hint = "put recordings there or set source.path (an absolute path if DVC runs in a temporary workspace)"
        raise DataError(f"{folder.absolute()}: no audio files (.wav, .flac, .mp3, .m4a and many others); {hint}")
    return files


def _from_path(path: str, group_by: str) -> AudioFile:
    """Label and group from the folders of the path."""
    parts = normalise_path(path).split("/")
    label = parts[0] if len(parts) > 1 else ""
    group = parts[:2] if group_by == "folder" and len(parts) > 2 else parts
    return AudioFile(path, label or UNLABELLED, "/".join(group))


def _read_csv(source: SourceConfig, folder: Path) -> list[AudioFile]:
    """Only the files that the CSV lists; where it has no label or group, the path gives them."""
    csv = folder / str(source.folder.csv)
    if not csv.resolve().is_relative_to(folder.resolve()):  # DVC would not notice changes
        raise ParamsError(f"{PARAMS_FILE}: source.folder.csv: {csv} is not inside source.path; move it there")
    table = read_csv(csv, "source.folder.csv", ["path"], OPTIONAL_COLUMNS)
    if table.empty:
        raise DataError(f"{csv}: lists no files; add a line for each below its first line")
    _refuse_hidden_split(csv, table)
    tree = walk(folder)
    finder = PathFinder(folder, [*tree.audio, *tree.others])
    files: dict[str, AudioFile] = {}
    lines: dict[str, int] = {}  # of a file
    splits: dict[str, tuple[str, int]] = {}  # of a group, and the line that gives it
    problems = []
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        try:
            file = _read_row(row, finder, source.folder.group)
        except DataError as error:
            problems.append((line, str(error)))
            continue
        if file.path in files:
            problems.append((line, f"'{printable(file.path)}' is in line {lines[file.path]} too; remove one of them"))
            continue
        files[file.path], lines[file.path] = file, line
        if file.split is not None:
            split, other = splits.setdefault(file.group, (file.split, line))
            if split != file.split:
                problem = f"split is {file.split}, but the group '{printable(file.group)}' is in {split} (line {other})"
                problems.append((line, f"{problem}; give such files different groups"))
    refuse_lines(csv, problems)
    for column, instead in (("label", "their folder is the label"), ("split", "windows.splits decides")):
        if column in table and (empty := (table[column] == "").sum()):
            workspace.say(f"  {csv.name}: files without a {column}: {empty} of {len(table)}; {instead}")
    if unlisted := sorted(set(tree.audio) - set(files)):  # one row stands for all
        others = f", nor {len(unlisted) - 1} other audio files" * (len(unlisted) > 1)
        files[""] = AudioFile(unlisted[0], UNLABELLED, unlisted[0], excluded=f"{csv.name} does not list it{others}")
    return sorted(files.values(), key=lambda file: file.path)


def _read_row(row: dict[Hashable, str], finder: PathFinder, group_by: str) -> AudioFile:
    """The file of a row; DataError, which does not name the row, if its path or its split is wrong."""
    if not row["path"]:
        raise DataError("has no path")
    default = _from_path(finder.find(row["path"]), group_by)
    label, group = normalise(row.get("label", "")), normalise_path(row.get("group", ""))
    split = normalise(row.get("split", ""))
    if split and split.casefold() not in SPLIT_WORDS:
        raise DataError(f"split is '{printable(split)}', but must be train, valid or test (or empty)")
    return AudioFile(default.path, label or default.label, group or default.group, SPLIT_WORDS.get(split.casefold()))


def _refuse_hidden_split(csv: Path, table: pd.DataFrame) -> None:
    """DataError if a column under another name holds splits: else a random split would replace them."""
    if "split" in table:
        return
    for column in table.columns.difference(["path", *OPTIONAL_COLUMNS], sort=False):
        cells = {normalise(cell).casefold() for cell in table[column]} - {""}
        words = {cell.split()[0].strip("_-") for cell in cells}  # of "test set"
        is_flag = any(name in SPLIT_FLAGS for name in column.split("_"))  # is_test, with 0 and 1
        if words and (is_flag or len(words & (SPLIT_WORDS.keys() | SPLIT_FLAGS)) >= min(2, len(words))):
            raise DataError(f"{csv}: the column '{printable(column)}' holds splits; rename it to split, or remove it")
