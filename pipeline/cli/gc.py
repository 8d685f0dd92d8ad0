"""Command `gc`: free disk space.

All that it deletes can be made again: .melisma saves work, and DVC's cache has the results that were in data/.
"""

import os
import stat
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock, Timeout

from pipeline.cli.base import app
from pipeline.core import workspace

if TYPE_CHECKING:
    from pipeline.schema.schema import Params

KINDS = "seeds", "checkpoints", "cache", "downloads", "runs"  # folders of .melisma

Candidate = tuple[Path, Path, float, str]  # path, its lock, the days without a change after which it may go, why


@app.command()
def gc(
    days: Annotated[float, typer.Option(min=0, help="Keep what changed in .melisma within so many days.")] = 14,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it.")] = False,
) -> None:
    """List what you can delete to free disk space; --yes deletes it.

    In .melisma: old trainings, checkpoints, unfinished caches, downloads, and files of runs that MLflow has. What
    belongs to a model in data/, to the source in params.yaml or to a running stage stays. In data/: results of variants
    and representations that params.yaml lacks. See "Clean up" in docs/experiments.md.
    """
    from pipeline.core.progress import format_bytes
    from pipeline.schema import schema

    os.chdir(workspace.root())
    params, sizes, is_failed = schema.load(), [], False
    for path, lock, min_days, why in chain(_in_state_folder(params, days), _in_data(params)):
        try:
            size, changed = _measure(path)
            if time.time() - changed < min_days * 86400 or _is_locked(lock) or _is_needed_run(path):
                continue
            if yes:
                _delete(path)
        except FileNotFoundError:  # a running stage uses it
            continue
        except OSError as error:
            typer.echo(f"error: {error.filename or path}: {error.strerror}", err=True)
            is_failed = True
        else:
            sizes.append(size)
            typer.echo(f"{format_bytes(size):>8}  {os.path.relpath(path)}  {why}")
    action = "deleted" if yes else "add --yes to delete this"
    typer.echo(f"{format_bytes(sum(sizes)):>8}  in all; {action}" if sizes else "nothing to delete")
    typer.echo("MLflow's runs and DVC's cache: see \"Clean up\" in docs/experiments.md")
    if is_failed:
        raise typer.Exit(1)


def _in_state_folder(params: "Params", days: float) -> Iterator[Candidate]:
    """What .melisma may lose; DataError if a config.json in data/ is damaged."""
    from pipeline.core import artefacts

    source = getattr(params.source, params.source.name)
    checksums = [getattr(source, key, "") for key in ("checksum", "metadata_checksum")]
    kept = {checksum.partition(":")[2][:8] for checksum in checksums}  # the names of downloads begin like this
    models = chain(workspace.MODELS.glob("[!.]*/seed-*"), workspace.VOCODERS.glob("[!.]*/training"))
    for file in (folder / "config.json" for folder in models if (folder / "config.json").exists()):
        with artefacts.readable(file):
            kept.add(workspace.read_json(file)["fingerprint"])
    state = workspace.state_folder()
    for kind in KINDS:
        for path in sorted((state / kind).glob("*")):
            locks = {"cache": f"cache/.{path.name}.lock", "runs": f"runs/{path.name}/.lock"}
            locks["downloads"] = f"downloads/.{path.name.removesuffix('.part')}.lock"
            is_lock = path.name.startswith(".") and path.is_file()
            if not is_lock and path.name.partition("-")[0] not in kept:
                yield path, state / locks.get(kind, f"locks/{path.name}"), days, f"unchanged for {days:g} days"


def _in_data(params: "Params") -> Iterator[Candidate]:
    """Results, also partial ones, of variants and representations that params.yaml lacks."""
    models, representations = ("models", set(params.models)), ("representations", set(params.representations))
    sections = {workspace.CACHE: representations, workspace.VOCODERS: representations, workspace.MODELS: models}
    sections |= {workspace.EVALUATION: models, workspace.FIGURES: models}
    for parent, (section, names) in sections.items():
        for path in sorted(path for path in parent.glob("*") if path.is_dir()):
            name = path.name.removeprefix(".").removesuffix(".partial")  # left by a stage that was killed
            lock = workspace.state_folder() / "locks" / workspace.fingerprint(str((parent / name).absolute()))
            if name not in names:
                yield path, lock, 0, f"not under `{section}` in params.yaml"


def _is_locked(lock: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        if lock.exists():
            FileLock(lock).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def _is_needed_run(path: Path) -> bool:
    """Whether it is a run that MLflow lacks, or one of a study, which reads the time of the training."""
    from pipeline.tracking.run_folder import RunFolder, runs_folder

    run = RunFolder(path)
    if path.parent != runs_folder() or not run.meta:
        return False
    is_sent = run.is_complete and run.meta["status"] != "RUNNING"
    return not is_sent or any(key.startswith("study.") and value for key, value in run.meta["tags"].items())


def _measure(path: Path) -> tuple[int, float]:
    """Bytes that the deletion of a file or folder frees, and the time of its last change. Links are not followed."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size * (status.st_nlink == 1), status.st_mtime  # another hard link keeps the bytes
    measured = [_measure(child) for child in path.iterdir()]
    return sum(size for size, _ in measured), max([status.st_mtime, *(changed for _, changed in measured)])


def _delete(path: Path) -> None:
    """Delete a file or folder. It moves first, so that no stage sees a part of it."""
    with TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        path.rename(Path(folder) / path.name)
