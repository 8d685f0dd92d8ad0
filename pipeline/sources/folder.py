"""A folder of one's own recordings: any tree of audio files."""

from pathlib import Path

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.sources.config import SPLITS, SourceConfig
from pipeline.sources.files import SUFFIXES, audio_files, read_csv
from pipeline.sources.tracks import AudioFile

UNLABELLED = "unlabelled"


def entries(source: SourceConfig) -> list[AudioFile]:
    """Every audio file below `source.path` in order of its path, with label and group.

    Raises:
        ParamsError: the folder or the CSV does not exist, or the CSV lacks what is needed.
        DataError: there is no audio in it.
    """
    folder = Path(source.path)
    if not folder.is_dir():
        raise ParamsError(f"{PARAMS_FILE}: source.path: there is no folder {folder.absolute()}")
    if source.folder.csv is not None:
        found = _from_csv(source, folder)
    else:
        found = [_entry(path, source.folder.group) for path in audio_files(folder)]
    if not found:
        hint = "put recordings there or set source.path (an absolute path where DVC runs in a temporary workspace)"
        raise DataError(f"{folder.absolute()}: no audio files ({', '.join(sorted(SUFFIXES))}); {hint}")
    return found


def _entry(path: str, group_by: str) -> AudioFile:
    folders = path.split("/")[:-1]
    label = folders[0] if folders else UNLABELLED
    group = "/".join(folders[:2]) if group_by == "folder" and len(folders) > 1 else path
    return AudioFile(path, label, group)


def _from_csv(source: SourceConfig, folder: Path) -> list[AudioFile]:
    """What the CSV lists: only those files, each with the columns that it has and the folder's rule for the others."""
    file = folder / str(source.folder.csv)  # inside, so that DVC sees a change of it
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ParamsError(f"{PARAMS_FILE}: source.folder.csv: {file} is not inside source.path; move it there")
    frame = read_csv(file, "source.folder.csv", ["path"])
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
        found.append(
            AudioFile(row["path"], row.get("label") or default.label, row.get("group") or default.group, split)
        )
    return sorted(found, key=lambda e: e.path)
