"""Folders of .melisma and data/ that nothing refers to."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.core import workspace
from pipeline.gc.references import References
from pipeline.schema.schema import Params
from pipeline.sources.config import PublishedConfig

DAYS = 14  # that a checkpoint stays which the workspace does not need: another branch or other params may
OF_VARIANTS = workspace.MODELS, workspace.EVALUATION, workspace.FIGURES


@dataclass(frozen=True)
class Unused:
    """Something that can be removed."""

    kind: str  # seeds, checkpoints, cache, downloads, data, runs, artifacts
    name: str
    why: str
    bytes: int
    path: Path | None = None  # None: a run, whose id is `name`'s last word


def find(params: Params, references: References) -> Iterator[Unused]:
    """All of them, in the project of the current folder, that no process works on."""
    yield from _trainings(params, references)
    yield from _caches(params)
    yield from _downloads(references)
    yield from _data(params)


def remove(path: Path) -> None:
    """Remove a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; a process may be taking some away."""
    below = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in below or [path]:
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_size * (not file.is_dir())
    return total


def needed(params: Params, references: References) -> dict[Path, Any]:
    """Trainings, finished or not, that a stage may go on with, and what is known of each: its variant, seed and run."""
    kept = {}
    for folder in (*_folders("seeds"), *_folders("checkpoints")):
        identity = _identity(folder)
        missing = _lacks(params, identity.get("variant"), identity.get("seed"))
        held = _held(workspace.state() / "locks" / folder.name)
        if references.waits or missing or held or (folder.parent.name == "checkpoints" and _days(folder) < DAYS):
            kept[folder] = identity
    return kept


def _trainings(params: Params, references: References) -> Iterator[Unused]:
    kept = needed(params, references)
    reasons = {
        "seeds": "no result here or in Git is of this training",
        "checkpoints": f"no result is missing here that it is of, and it is over {DAYS} days old",
    }
    for kind, why in reasons.items():
        for folder in _folders(kind):
            identity = _identity(folder)
            variant = identity.get("variant")
            referred = folder.name in references.fingerprints or variant in references.lacking
            if folder not in kept and not (kind == "seeds" and referred):
                name = f"{variant}-seed{identity['seed']} {folder.name}" if variant else folder.name
                yield Unused(kind, name, why, size(folder), folder)


def _caches(params: Params) -> Iterator[Unused]:
    for folder in _folders("cache"):
        name = folder.name.rpartition("-")[0]
        wanted = name in params.representations and not (workspace.CACHE / name).is_dir()
        if not wanted and not _held(folder.with_name(f".{folder.name}.lock")):
            yield Unused("cache", folder.name, "shards of a stage that was stopped", size(folder), folder)


def _downloads(references: References) -> Iterator[Unused]:
    """Archives that no params.yaml asks for; each is called after the first digits of its checksum."""
    asked = [getattr(source, source.name) for source in references.sources]
    sums = {config.checksum for config in asked if isinstance(config, PublishedConfig)}
    sums |= {config.metadata_checksum for config in asked if hasattr(config, "metadata_checksum")}
    digits = {checksum.partition(":")[2][:8] for checksum in sums}
    folder = workspace.state() / "downloads"
    for file in sorted(folder.glob("[!.]*")):
        lock = folder / f".{file.name.removesuffix('.part')}.lock"
        if file.name[:8] not in digits and not _held(lock):
            yield Unused("downloads", file.name, "no params.yaml here or in Git names this source", size(file), file)


def _data(params: Params) -> Iterator[Unused]:
    """Results of variants and representations that params.yaml has no more, and what a killed stage was writing."""
    known = {place: set(params.models) for place in OF_VARIANTS}
    known[workspace.CACHE] = set(params.representations)
    for place, names in known.items():
        for folder in sorted(path for path in place.glob("*") if path.is_dir()):
            if folder.name.startswith("."):
                whole = folder.with_name(folder.name.removeprefix(".").removesuffix(".partial"))
                lock = workspace.state() / "locks" / workspace.fingerprint(str(whole.absolute()))
                if folder.name.endswith(".partial") and not _held(lock):
                    yield Unused(
                        "data", str(folder), "half of a result, of a stage that was killed", size(folder), folder
                    )
            elif folder.name not in names:
                section = "representations" if place == workspace.CACHE else "models"
                yield Unused("data", str(folder), f"not under `{section}` in params.yaml", size(folder), folder)


def _folders(kind: str) -> list[Path]:
    return sorted(path for path in (workspace.state() / kind).glob("*") if path.is_dir())


def _days(folder: Path) -> float:
    """Since the newest file in it was written."""
    return (time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))) / 86400


def _identity(folder: Path) -> dict[str, Any]:
    """The run.json in a folder; nothing where none was written."""
    try:
        found: dict[str, Any] = workspace.read_json(folder / "run.json")
    except (OSError, ValueError):
        return {}
    return found


def _lacks(params: Params, variant: str | None, seed: int | None) -> bool:
    """Whether stage train has still to make this result here, and may use what was kept; None: of any variant."""
    missing = {
        (name, number)
        for name in params.models
        for number in params.seeds
        if not (workspace.MODELS / name / f"seed-{number}").is_dir()
    }
    return bool(missing) if variant is None else (variant, seed) in missing


def _held(lock: Path) -> bool:
    """Whether a process holds this lock."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
