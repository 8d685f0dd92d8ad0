"""Where files are, and how they are written.

`root()` holds the code, the params and the artefacts of this run; inside `dvc exp run --temp` it is a temporary copy.
`project()` is the user's own checkout, which outlives it: MLflow's database and kept work belong there.
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
REFERENCE = DATA / "reference"
MODELS = DATA / "models"
EVALUATION = DATA / "evaluation"
FIGURES = DATA / "figures"
REPORT = DATA / "report"


def root() -> Path:
    """The folder of params.yaml and dvc.yaml: the current one or the nearest above it.

    Raises:
        MelismaError: neither the current folder nor one above it is a Melisma project.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    raise MelismaError(f"{here}: no params.yaml and dvc.yaml here or above; go to the project's folder")


def project() -> Path:
    """The user's checkout, also from within a temporary workspace of DVC (which sets DVC_ROOT to it)."""
    return Path(os.environ.get("DVC_ROOT") or root()).resolve()


def state() -> Path:
    """A git-ignored folder of the project for what is neither source nor artefact: finished seeds, locks."""
    folder = project() / ".melisma"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of `path` when the block ends well, and vanishes when it does not."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = state() / "locks" / fingerprint(str(path.absolute()))  # not beside it, where DVC would see it
    lock.parent.mkdir(exist_ok=True)
    with hold_lock(lock, f"writing {path}"):
        shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
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
    """Keep other processes out, and say so while one has to wait; the system lifts the lock of one that dies."""
    try:
        held = FileLock(lock).acquire(timeout=0)
    except Timeout:
        say(f"another process is {action}; waiting for it")
        held = FileLock(lock).acquire()
    with held:
        yield


def write_json(path: Path, value: Any) -> None:
    """Readable JSON with sorted keys; NaN is refused, since no other reader takes it."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def link(source: Path, target: Path) -> None:
    """The file a second time: a hard link where the file system allows, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any, code: Iterable[Path] = ()) -> str:
    """16 hex digits that change with `value` (JSON data) and with the content of each file of `code`."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode())
    for file in code:
        digest.update(sha256(file).encode())
    return digest.hexdigest()[:16]


def say(message: str) -> None:
    """One line of progress on standard output, at once also when that is a file or a pipe."""
    print(message, flush=True)
