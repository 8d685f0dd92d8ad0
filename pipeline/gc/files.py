"""Unused folders and files of .melisma and data/."""

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

CHECKPOINT_DAYS = 14  # days that an unneeded checkpoint is kept: another branch or other params may need it
VARIANT_FOLDERS = workspace.MODELS, workspace.EVALUATION, workspace.FIGURES
SECONDS_PER_DAY = 86400


@dataclass(frozen=True)
class UnusedItem:
    """Something that can be removed."""

    kind: str  # seeds, checkpoints, cache, downloads, data, runs or artifacts
    name: str
    why: str
    bytes: int
    path: Path | None = None  # None for a run, whose id is the last word of `name`


def find_unused(params: Params, references: References) -> Iterator[UnusedItem]:
    """The unused items of the current project that no process works on."""
    yield from _trainings(params, references)
    yield from _partial_caches(params)
    yield from _downloads(references)
    yield from _results(params)


def remove(path: Path) -> None:
    """Remove a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder. A file that another process removes counts 0."""
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files or [path]:
        with contextlib.suppress(FileNotFoundError):
            total += file.lstat().st_size * (not file.is_dir())
    return total


def resumable_runs(params: Params, references: References) -> set[str]:
    """MLflow ids of the trainings that a stage may still use."""
    folders = [*_folders("seeds"), *_folders("checkpoints")]
    identities = [_identity(folder) for folder in folders if _is_resumable(folder, params, references)]
    return {identity["run_id"] for identity in identities if identity.get("run_id")}


def _trainings(params: Params, references: References) -> Iterator[UnusedItem]:
    reasons = {
        "seeds": "no result here or in Git comes from this training",
        "checkpoints": f"no missing result here needs it, and it is over {CHECKPOINT_DAYS} days old",
    }
    for kind, why in reasons.items():
        for folder in _folders(kind):
            identity = _identity(folder)
            variant = identity.get("variant")
            is_referenced = folder.name in references.fingerprints or variant in references.incomplete_variants
            if not _is_resumable(folder, params, references) and not (kind == "seeds" and is_referenced):
                name = f"{variant}-seed{identity['seed']} {folder.name}" if variant else folder.name
                yield UnusedItem(kind, name, why, size(folder), folder)


def _partial_caches(params: Params) -> Iterator[UnusedItem]:
    for folder in _folders("cache"):
        name = folder.name.rpartition("-")[0]
        is_needed = name in params.representations and not (workspace.CACHE / name).is_dir()
        if not is_needed and not _is_locked(folder.with_name(f".{folder.name}.lock")):
            yield UnusedItem("cache", folder.name, "shards of a stage that was stopped", size(folder), folder)


def _downloads(references: References) -> Iterator[UnusedItem]:
    """Archives that no params.yaml needs. The name of each begins with the first digits of its checksum."""
    configs = [getattr(source, source.name) for source in references.sources]
    checksums = {config.checksum for config in configs if isinstance(config, PublishedConfig)}
    checksums |= {config.metadata_checksum for config in configs if hasattr(config, "metadata_checksum")}
    prefixes = {checksum.partition(":")[2][:8] for checksum in checksums}
    folder = workspace.state_folder() / "downloads"
    for file in sorted(folder.glob("[!.]*")):
        lock = folder / f".{file.name.removesuffix('.part')}.lock"
        if file.name[:8] not in prefixes and not _is_locked(lock):
            yield UnusedItem(
                "downloads", file.name, "no params.yaml here or in Git names this source", size(file), file
            )


def _results(params: Params) -> Iterator[UnusedItem]:
    """Results of variants and representations that params.yaml lacks, and partial results of killed stages."""
    names = {folder: set(params.models) for folder in VARIANT_FOLDERS}
    names[workspace.CACHE] = set(params.representations)
    for parent, param_names in names.items():
        for folder in sorted(path for path in parent.glob("*") if path.is_dir()):
            if folder.name.startswith("."):
                final = folder.with_name(folder.name.removeprefix(".").removesuffix(".partial"))
                lock = workspace.state_folder() / "locks" / workspace.fingerprint(str(final.absolute()))
                if folder.name.endswith(".partial") and not _is_locked(lock):
                    why = "partial result of a stage that was killed"
                    yield UnusedItem("data", str(folder), why, size(folder), folder)
            elif folder.name not in param_names:
                section = "representations" if parent == workspace.CACHE else "models"
                yield UnusedItem("data", str(folder), f"not under `{section}` in params.yaml", size(folder), folder)


def _folders(kind: str) -> list[Path]:
    return sorted(path for path in (workspace.state_folder() / kind).glob("*") if path.is_dir())


def _age_days(folder: Path) -> float:
    """The age of its newest file."""
    newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return (time.time() - newest) / SECONDS_PER_DAY


def _identity(folder: Path) -> dict[str, Any]:
    """The content of run.json; {} without one."""
    try:
        identity: dict[str, Any] = workspace.read_json(folder / "run.json")
    except (OSError, ValueError):
        return {}
    return identity


def _is_resumable(folder: Path, params: Params, references: References) -> bool:
    """Whether a stage may still use a stored training or a checkpoint."""
    identity = _identity(folder)
    is_missing = _is_result_missing(params, identity.get("variant"), identity.get("seed"))
    is_locked = _is_locked(workspace.state_folder() / "locks" / folder.name)
    if references.has_queued or is_missing or is_locked:
        return True
    return folder.parent.name == "checkpoints" and _age_days(folder) < CHECKPOINT_DAYS


def _is_result_missing(params: Params, variant: str | None, seed: int | None) -> bool:
    """Whether stage train must still write this result in this workspace; for None, any result."""
    missing = {
        (name, number)
        for name in params.models
        for number in params.seeds
        if not (workspace.MODELS / name / f"seed-{number}").is_dir()
    }
    return bool(missing) if variant is None else (variant, seed) in missing


def _is_locked(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
