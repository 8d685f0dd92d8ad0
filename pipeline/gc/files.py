"""Unused folders and files of .melisma and data/."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.core import workspace
from pipeline.gc.references import References
from pipeline.schema.schema import Params
from pipeline.tracking.run_folder import folder_for

CHECKPOINT_DAYS = 14  # days that an unneeded checkpoint is kept: another branch or other params may need it


@dataclass(frozen=True)
class UnusedItem:
    """Something that can be removed."""

    kind: str  # seeds, checkpoints, cache, downloads, data; runs (their folders), mlflow (runs) or artifacts
    name: str
    why: str
    bytes: int
    path: Path | None = None  # None for a run of MLflow, whose id is the last word of `name`


def find_unused(params: Params, references: References, resumable: set[str]) -> Iterator[UnusedItem]:
    """The unused items of the current project, without runs, that no process works on."""
    yield from _trainings(references, resumable)
    yield from _partial_caches(params)
    yield from _downloads(references)
    yield from _results(params)


def unused_path(kind: str, name: str, why: str, path: Path) -> UnusedItem:
    """An unused file or folder."""
    return UnusedItem(kind, name, why, size(path), path)


def size(path: Path) -> int:
    """Bytes that the removal of a file or folder frees; a file with another hard link counts 0."""
    total = 0
    for file in [path, *(Path(folder, name) for folder, _, names in os.walk(path) for name in names)]:
        with contextlib.suppress(FileNotFoundError):  # another process removes it
            status = file.lstat()
            total += status.st_size * (status.st_nlink == 1 and not file.is_dir())
    return total


def resumable_trainings(params: Params, references: References) -> set[str]:
    """Fingerprints of the finished and unfinished trainings in .melisma that a stage may still use."""
    folders = [*_folders("seeds"), *_folders("checkpoints")]
    return {folder.name for folder in folders if _is_resumable(folder, params, references)}


def _trainings(references: References, resumable: set[str]) -> Iterator[UnusedItem]:
    reasons = {
        "seeds": "no result here or in Git comes from this training",
        "checkpoints": f"no result that is missing here needs it, and it is over {CHECKPOINT_DAYS} days old",
    }
    for kind, why in reasons.items():
        for folder in _folders(kind):
            variant, seed = _variant_and_seed(folder)
            is_referenced = folder.name in references.fingerprints or variant in references.incomplete_variants
            if folder.name not in resumable and not (kind == "seeds" and is_referenced):
                name = f"{variant}-seed{seed} {folder.name}" if variant else folder.name
                yield unused_path(kind, name, why, folder)


def _partial_caches(params: Params) -> Iterator[UnusedItem]:
    for folder in _folders("cache"):
        name = folder.name.rpartition("-")[0]
        is_needed = name in params.representations and not (workspace.CACHE / name).is_dir()
        if not is_needed and not _is_locked(folder.with_name(f".{folder.name}.lock")):
            yield unused_path("cache", folder.name, "an unfinished cache, whose stage was stopped", folder)


def _downloads(references: References) -> Iterator[UnusedItem]:
    """Archives that no params.yaml needs. The name of each begins with the first digits of its checksum."""
    configs = [getattr(source, source.name) for source in references.sources]
    checksums = {getattr(config, key, "") for config in configs for key in ("checksum", "metadata_checksum")}
    prefixes = {checksum.partition(":")[2][:8] for checksum in checksums}
    folder = workspace.state_folder() / "downloads"
    for file in sorted(folder.glob("[!.]*")):
        lock = folder / f".{file.name.removesuffix('.part')}.lock"
        if file.name[:8] not in prefixes and not _is_locked(lock):
            yield unused_path("downloads", file.name, "no params.yaml here or in Git names this source", file)


def _results(params: Params) -> Iterator[UnusedItem]:
    """Results, also partial ones, of variants and representations that params.yaml lacks."""
    models, representations = ("models", set(params.models)), ("representations", set(params.representations))
    sections = {workspace.CACHE: representations, workspace.VOCODERS: representations, workspace.MODELS: models}
    sections |= {workspace.EVALUATION: models, workspace.FIGURES: models}
    for parent, (section, names) in sections.items():
        for folder in sorted(path for path in parent.glob("*") if path.is_dir()):
            name = folder.name.removeprefix(".").removesuffix(".partial")  # left by a stage that was killed
            lock = Path("locks") / workspace.fingerprint(str((parent / name).absolute()))
            if name not in names and not _is_locked(lock):
                yield unused_path("data", str(folder), f"not under `{section}` in params.yaml", folder)


def _folders(kind: str) -> list[Path]:
    return sorted(path for path in (workspace.state_folder() / kind).glob("*") if path.is_dir())


def _variant_and_seed(folder: Path) -> tuple[str | None, int | None]:
    """The variant and seed of a stored training; None, None for a checkpoint without a run folder."""
    file = folder / "config.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        identity = workspace.read_json(file) if file.is_file() else folder_for(folder.name).meta["tags"]
        return identity["variant"], int(identity["seed"])
    return None, None


def _is_resumable(folder: Path, params: Params, references: References) -> bool:
    """Whether a stage may still use a stored training or a checkpoint."""
    variant, seed = _variant_and_seed(folder)
    results = {
        (name, number): workspace.MODELS / name / f"seed-{number}" for name in params.models for number in params.seeds
    }
    results |= {
        (f"vocoder-{name}", 0): workspace.VOCODERS / name / "training"
        for name, of in params.vocoders.items()
        if of.type == "trained"
    }
    may_be_missing = any(
        variant in (name, None) and seed in (number, None) and not result.is_dir()
        for (name, number), result in results.items()
    )
    if references.has_queued or may_be_missing or _is_locked(Path("locks") / folder.name):
        return True
    newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return folder.parent.name == "checkpoints" and time.time() - newest < CHECKPOINT_DAYS * 86400


def _is_locked(lock: Path) -> bool:
    """Whether a process holds a lock in .melisma."""
    lock = workspace.state_folder() / lock
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
