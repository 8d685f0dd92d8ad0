"""Get a published data set from where params.yaml says it is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.sources.config import PublishedConfig
from pipeline.sources.fetch import fetch
from pipeline.sources.progress import progress, size
from pipeline.sources.unpack import unpack


def obtain(config: PublishedConfig, name: str, handle: str, audio: Path, wanted: Callable[[str], bool]) -> Path:
    """The folder with the data set's files: the user's own, or `audio`, which this fills.

    Args:
        config: where it is.
        name: of the source, for messages.
        handle: of its copy on Kaggle.
        audio: a folder that does not exist yet.
        wanted: says of a file's path whether it is needed.

    Raises:
        ParamsError: the folder or the archive that params.yaml names does not exist.
        DataError: it could not be downloaded or unpacked.
    """
    if config.path is not None:
        if not Path(config.path).is_dir():
            raise ParamsError(f"{PARAMS_FILE}: source.{name}.path: there is no folder {Path(config.path).absolute()}")
        return Path(config.path)
    if config.kaggle:
        _copy(_from_kaggle(handle, name), audio, wanted)
        return audio
    if config.archive is not None:
        archive = Path(config.archive)
        if not archive.is_file():
            raise ParamsError(f"{PARAMS_FILE}: source.{name}.archive: there is no file {archive.absolute()}")
    else:
        file = urlsplit(config.mirrors[0]).path.rsplit("/", 1)[-1]
        archive = fetch(config.mirrors, config.checksum, file or name, f"source.{name}.archive or .path")
    written = unpack(archive, audio, wanted)
    kept = "" if config.archive else "; it is kept, to spare another download, and may be deleted"
    workspace.say(f"{written} files from {archive}{kept}")
    return audio


def _from_kaggle(handle: str, name: str) -> Path:
    """The folder in which kagglehub keeps the data set."""
    try:
        import kagglehub
    except ImportError as error:
        hint = "install it with 'make setup EXTRAS=kaggle'"
        raise DataError(f"source.{name}.kaggle needs the package kagglehub; {hint}") from error
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # of many kinds: no credentials, no network, no such data set, a full disk
        hint = "check the network and your credentials (~/.kaggle/kaggle.json, or KAGGLE_USERNAME and KAGGLE_KEY)"
        raise DataError(f"Kaggle did not give {handle}: {error or type(error).__name__}; {hint}") from error


def _copy(folder: Path, audio: Path, wanted: Callable[[str], bool]) -> None:
    """Copy the wanted files of `folder`, with their paths."""
    below = {path: path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {path: inner for path, inner in below.items() if wanted(inner.as_posix())}
    total = sum(path.stat().st_size for path in files)
    audio.mkdir(parents=True)
    free = shutil.disk_usage(audio).free
    if total > free:
        raise DataError(f"{audio}: the data set needs {size(total)}, but {size(free)} are free")
    with progress(f"copying {folder.name}", total) as advance:
        for path, inner in files.items():
            (audio / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, audio / inner)
            advance(path.stat().st_size)
    workspace.say(f"{len(files)} files from {folder}, which is kept and may be deleted")
