"""All that is unused in the project of the current folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.progress import format_bytes
from pipeline.gc import busy, files, recorded, references
from pipeline.gc.files import Unused
from pipeline.schema import schema
from pipeline.tracking import outbox, pending, store

DVC = "dvc gc --workspace --all-commits --all-experiments"  # keeps what is kept here


@dataclass
class Found:
    """What can be removed, and what is to be said of the rest."""

    items: list[Unused]
    notes: list[str] = field(default_factory=list)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep DVC from starting a stage in the block.

    Raises:
        MelismaError: it runs one, or an experiment: what that has made is referred to only when it has ended.
    """
    if running := busy.processes():
        numbers = ", ".join(map(str, running))
        raise MelismaError(f"DVC runs a stage or an experiment (process {numbers}); try again when it has ended")
    with _dvc() as repo, repo.lock:
        yield


def find() -> Found:
    """All of it, files first.

    Raises:
        MelismaError: params.yaml does not hold, or Git or MLflow fail: then nothing is known to be unused.
    """
    params = schema.load()
    with _dvc() as repo:
        cache = Path(repo.cache.local.path)
    referred = references.collect(cache)
    found = Found(list(files.find(params, referred)))
    if referred.lacking:
        names = ", ".join(sorted(referred.lacking))
        found.notes.append(
            f"all trainings of {names} are kept: DVC's cache lacks results that Git refers to, and so it is not known "
            "which they are of (a remote may have them: `dvc fetch --all-commits`)"
        )
    if referred.waits:
        found.notes.append("kept trainings stay: experiments are queued or have failed, and may go on with them")
    number, elsewhere = pending.count()
    found.notes += elsewhere
    if number:
        kept = format_bytes(files.size(workspace.state() / "outbox"))
        found.notes.append(
            f".melisma/outbox ({kept}) stays, and so does every run: MLflow has not got all of {number} yet "
            "(`melisma runs --send`)"
        )
    elif recorded.own():
        begun = {identity["run_id"] for identity in files.needed(params, referred).values() if identity.get("run_id")}
        found.items += recorded.find(referred, begun, pending.settled(outbox.abandoned))
    elif not store.tracking_uri().startswith("sqlite:"):
        found.notes.append("the runs of a server are left alone: other people's may be among them")
    return found


@contextmanager
def _dvc() -> Iterator[Any]:
    """DVC's view of the project.

    Raises:
        MelismaError: it has none, or another command of DVC is at work in it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from scmrepo.exceptions import SCMError

    try:
        with Repo() as repo:
            yield repo
    except (DvcException, SCMError) as error:
        raise MelismaError(f"DVC: {error}") from error


def remove(items: list[Unused]) -> None:
    """Remove what `find` has found."""
    for item in items:
        if item.path is not None:
            files.remove(item.path)
    if names := [item.name for item in items if item.path is None]:
        recorded.remove(names)
