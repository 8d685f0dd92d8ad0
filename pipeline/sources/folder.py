"""Source folder: your recordings, any tree of audio files."""

from pathlib import Path

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.sources.config import SPLITS, SourceConfig
from pipeline.sources.files import SUFFIXES, find_audio, read_csv
from pipeline.sources.tracks import AudioFile

UNLABELLED = "unlabelled"


def list_files(source: SourceConfig, audio: Path) -> list[AudioFile]:
    """The audio files below `source.path`, sorted by path; they are read in place, so `audio` is not used.

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
        raise DataError(f"{folder.absolute()}: no audio files ({', '.join(sorted(SUFFIXES))}); {hint}")
    return files


def _from_path(path: str, group_by: str) -> AudioFile:
    """Label and group from the folders of the path."""
    folders = path.split("/")[:-1]
    label = folders[0] if folders else UNLABELLED
    group = "/".join(folders[:2]) if group_by == "folder" and len(folders) > 1 else path
    return AudioFile(path, label, group)


def _read_csv(source: SourceConfig, folder: Path) -> list[AudioFile]:
    """Only the files that the CSV lists; where it has no label or group, the path gives them."""
    csv = folder / str(source.folder.csv)
    if not csv.resolve().is_relative_to(folder.resolve()):  # DVC would not notice changes
        raise ParamsError(f"{PARAMS_FILE}: source.folder.csv: {csv} is not inside source.path; move it there")
    table = read_csv(csv, "source.folder.csv", ["path"])
    files = []
    for line, row in enumerate(table.to_dict("records"), start=2):
        if not (folder / row["path"]).is_file():
            raise DataError(f"{csv} line {line}: there is no file {folder / row['path']}")
        split = row.get("split") or None
        if split not in (None, *SPLITS):
            raise DataError(f"{csv} line {line}: split is '{split}', but must be train, valid or test (or empty)")
        default = _from_path(row["path"], source.folder.group)
        label, group = row.get("label") or default.label, row.get("group") or default.group
        files.append(AudioFile(row["path"], label, group, split))
    return sorted(files, key=lambda file: file.path)
