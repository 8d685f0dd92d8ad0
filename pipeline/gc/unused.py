"""Find and remove everything that is unused in the project of the current folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from pipeline.core.errors import MelismaError
from pipeline.gc import files, runs
from pipeline.gc.files import UnusedItem
from pipeline.gc.references import collect_references
from pipeline.schema import schema
from pipeline.tracking import publish, store

DVC_COMMAND = "dvc gc --workspace --all-commits --all-experiments"  # keeps the same results in DVC's cache


@contextmanager
def block_dvc() -> Iterator[None]:
    """Keep DVC from starting a stage in the block.

    Raises:
        MelismaError: a stage or an experiment runs; nothing refers to its results until it ends.
    """
    if processes := _running_processes():
        ids = ", ".join(map(str, processes))
        raise MelismaError(f"DVC runs a stage or an experiment (process {ids}); try again when it has ended")
    with _dvc_repo() as repo, repo.lock:
        yield


def find_unused() -> tuple[list[UnusedItem], list[str]]:
    """All unused items, files first; and notes about kept items.

    Raises:
        MelismaError: params.yaml is wrong, or Git or MLflow fail, so nothing is known to be unused.
    """
    params = schema.load()
    with _dvc_repo() as repo:
        references = collect_references(Path(repo.cache.local.path))
    resumable = files.resumable_trainings(params, references)
    items, notes = list(files.find_unused(params, references, resumable)), []
    if references.incomplete_variants:
        names = ", ".join(sorted(references.incomplete_variants))
        notes.append(
            f"all trainings of {names} stay: DVC's cache lacks results that Git refers to, so their trainings are "
            "unknown (if a remote has them: `dvc fetch --all-commits`)"
        )
    if references.has_queued:
        notes.append("all trainings stay: queued or failed experiments may continue them")
    pending, other_stores = publish.count_pending()
    notes += other_stores
    if pending:
        notes.append(f"all runs stay: MLflow lacks data of {pending} run{'s' * (pending > 1)} (`melisma runs --send`)")
    else:
        items += runs.find_unused(references, resumable)
    if store.database_file() is None:
        notes.append("the runs of a server stay: some may belong to other people")
    return items, notes


def remove(items: list[UnusedItem]) -> None:
    """Remove the items of `find_unused`; folders of runs first, since `melisma runs --send` sends them."""
    for path in [item.path for item in items if item.path]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if names := [item.name for item in items if item.path is None]:
        runs.remove(names)


def _running_processes() -> list[int]:
    """Ids of the processes of DVC and of stages in the current folder or below it, where DVC's workspaces are.

    DVC's own notes of running stages have gaps: between two stages, and for `dvc exp run --temp`.
    """
    root = Path.cwd().resolve()
    own = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    running = []
    for process in psutil.process_iter():
        try:
            words, folder = process.cmdline(), Path(process.cwd())
        except (psutil.Error, OSError):  # it has just ended, or belongs to another user
            continue
        is_stage = any(Path(word).name == "dvc" or word.startswith("stages.") for word in words)
        if is_stage and folder.is_relative_to(root) and process.pid not in own:
            running.append(process.pid)
    return sorted(running)


@contextmanager
def _dvc_repo() -> Iterator[Any]:
    """DVC's view of the project; MelismaError if there is none, or another DVC command is running."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from scmrepo.exceptions import SCMError

    try:
        with Repo() as repo:
            yield repo
    except (DvcException, SCMError) as error:
        raise MelismaError(f"DVC: {error}") from error
