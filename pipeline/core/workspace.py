"""Folders of the project, and how files are written.

`root()` holds the code, the params and the artefacts of this run; in `dvc exp run --temp` it is a temporary copy.
`project()` is always the user's checkout, which holds MLflow's database and the folder .melisma.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core.errors import MelismaError

DATA = Path("data")
RAW = DATA / "raw"
WINDOWS = DATA / "windows"
CACHE = DATA / "cache"
PRETRAINED = DATA / "pretrained"
EXTERNAL = DATA / "external"
VOCODERS = DATA / "vocoders"
REFERENCE = DATA / "reference"
MODELS = DATA / "models"
EVALUATION = DATA / "evaluation"
FIGURES = DATA / "figures"
REPORT = DATA / "report"
CHOICE_FILE, EXPORTED_FILE, TRAINING = "vocoder.json", "vocoder.pt2", "training"  # in a folder below VOCODERS


def root() -> Path:
    """The folder of params.yaml and dvc.yaml, here or the nearest above; MelismaError if there is none."""
    current = Path.cwd()
    for folder in (current, *current.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise MelismaError(f"{current}: no params.yaml and dvc.yaml here or above; go to the project's folder")


def project() -> Path:
    """The user's checkout; in a temporary workspace of DVC, DVC_ROOT names it."""
    return Path(os.environ.get("DVC_ROOT") or root()).resolve()


def state_folder() -> Path:
    """The git-ignored folder .melisma of the project, for locks, downloads, finished seeds and the like."""
    folder = project() / ".melisma"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """Yield a new folder. It replaces `path` if the block succeeds, and is removed if the block fails."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = state_folder() / "locks" / fingerprint(str(path.absolute()))  # DVC would see a lock beside `path`
    with hold_lock(lock, f"writing {path}"):
        shutil.rmtree(partial, ignore_errors=True)  # left by a killed run
        partial.mkdir()
        try:
            yield partial
            if path.exists():
                shutil.rmtree(path)
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def hold_lock(lock: Path, action: str) -> Iterator[None]:
    """Let one process at a time run the block, and say so if it must wait. A process that dies releases the lock."""
    lock.parent.mkdir(exist_ok=True)
    try:
        acquired = FileLock(lock).acquire(timeout=0)
    except Timeout:
        say(f"another process is {action}; waiting for it")
        acquired = FileLock(lock).acquire()
    with acquired:
        yield


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys; NaN raises ValueError, since it is no valid JSON."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON; see `artefacts.read_json` for a file that a stage wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def link(source: Path, target: Path) -> None:
    """Make `target` a hard link to the file `source`, or a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any, code: Iterable[Path] = ()) -> str:
    """A hash of 16 hex digits of `value` (JSON data) and of the content of the files `code`."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode())
    for file in code:
        digest.update(sha256(file).encode())
    return digest.hexdigest()[:16]


def say(message: str) -> None:
    """Print a line to standard output and flush, so that it also reaches a file or a pipe at once."""
    print(message, flush=True)
