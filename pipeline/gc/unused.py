"""Find and remove everything that is unused in the project of the current folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.progress import format_bytes
from pipeline.gc import files, mlflow_runs
from pipeline.gc.files import UnusedItem
from pipeline.gc.references import collect_references
from pipeline.schema import schema
from pipeline.tracking import outbox, store

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
    items, notes = list(files.find_unused(params, references)), []
    if references.incomplete_variants:
        names = ", ".join(sorted(references.incomplete_variants))
        notes.append(
            f"all trainings of {names} stay: DVC's cache lacks results that Git refers to, so their trainings are "
            "unknown (if a remote has them: `dvc fetch --all-commits`)"
        )
    if references.has_queued:
        notes.append("all trainings stay: queued or failed experiments may continue them")
    pending, other_stores = outbox.count_pending()
    notes += other_stores
    if pending:
        total = format_bytes(files.size(workspace.state_folder() / "outbox"))
        notes.append(
            f".melisma/outbox ({total}) and all runs stay: MLflow lacks records of {pending} run{'s' * (pending > 1)} "
            "(`melisma runs --send`)"
        )
    elif mlflow_runs.has_own_database():
        resumable = files.resumable_runs(params, references)
        items += mlflow_runs.find_unused(references, resumable, outbox.read_stable(outbox.abandoned_runs))
    elif not store.tracking_uri().startswith("sqlite:"):
        notes.append("the runs of a server stay: some may belong to other people")
    return items, notes


def remove(items: list[UnusedItem]) -> None:
    """Remove the items of `find_unused`."""
    for item in items:
        if item.path is not None:
            files.remove(item.path)
    if names := [item.name for item in items if item.path is None]:
        mlflow_runs.remove(names)


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
