"""Get a published data set: from a folder, an archive, Kaggle, or a download."""

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.sources.config import PublishedConfig
from pipeline.sources.fetch import fetch
from pipeline.sources.unpack import unpack


def obtain(config: PublishedConfig, name: str, handle: str, audio: Path, is_needed: Callable[[str], bool]) -> Path:
    """The folder of the data set: the user's folder, or `audio`, which this fills.

    `audio` must not exist; `handle` names the copy on Kaggle; `is_needed` gets the path of a file in the data set.
    ParamsError if there is no such folder or archive; DataError if the download or the archive fails.
    """
    if config.path is not None:
        if not Path(config.path).is_dir():
            raise ParamsError(f"{PARAMS_FILE}: source.{name}.path: there is no folder {Path(config.path).absolute()}")
        return Path(config.path)
    if config.kaggle:
        _copy(_download_from_kaggle(handle, name), audio, is_needed)
        return audio
    if config.archive is not None:
        archive = Path(config.archive)
        if not archive.is_file():
            raise ParamsError(f"{PARAMS_FILE}: source.{name}.archive: there is no file {archive.absolute()}")
    else:
        file = urlsplit(config.mirrors[0]).path.rsplit("/", 1)[-1]
        archive = fetch(config.mirrors, config.checksum, file or name, f"source.{name}.archive or .path")
    count = unpack(archive, audio, is_needed)
    note = "" if config.archive else "; you may delete it, but a later run would download it again"
    workspace.say(f"{count} files from {archive}{note}")
    return audio


def _download_from_kaggle(handle: str, name: str) -> Path:
    """kagglehub's folder of the data set."""
    try:
        import kagglehub
    except ImportError as error:
        hint = "install it with 'make setup EXTRAS=kaggle'"
        raise DataError(f"source.{name}.kaggle needs the package kagglehub; {hint}") from error
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # no credentials, no network, no such data set, a full disk, ...
        hint = "check the network and your credentials (~/.kaggle/kaggle.json, or KAGGLE_USERNAME and KAGGLE_KEY)"
        raise DataError(f"Kaggle did not give {handle}: {error or type(error).__name__}; {hint}") from error


def _copy(folder: Path, audio: Path, is_needed: Callable[[str], bool]) -> None:
    """Copy the needed files of `folder` to the same paths below `audio`."""
    files = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    paths = [path for path in files if is_needed(path.as_posix())]
    for path in tqdm(paths, desc="copying", unit="file", disable=None):
        (audio / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / path, audio / path)
    workspace.say(f"{len(paths)} files from {folder}, which you may delete")
