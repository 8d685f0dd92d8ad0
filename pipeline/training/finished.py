"""Finished seeds and unfinished ones, kept under a fingerprint so that nothing is trained twice.

DVC deletes a stage's output before it runs the stage again; what stands here lets a stage that was interrupted, or that
was given one more seed, train just what is missing. A fingerprint is of all that decides the weights, so that what was
begun with other params, data or code is never gone on with.
"""

import contextlib
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.core import workspace

RUN = "run.json"


def restore(fingerprint: str, to: Path) -> bool:
    """Copy the finished seed of this fingerprint to `to`, where there is one."""
    kept = workspace.state() / "seeds" / fingerprint
    if kept.is_dir():
        shutil.copytree(kept, to)
    return kept.is_dir()


def alone(fingerprint: str, doing: str) -> AbstractContextManager[None]:
    """Keep other processes away from the training of this fingerprint, wherever they run it for this project."""
    return workspace.hold_lock(workspace.state() / "locks" / fingerprint, doing)


def unfinished(fingerprint: str) -> Path:
    """Where the checkpoints of a training belong until it is finished."""
    return workspace.state() / "checkpoints" / fingerprint


def begin(fingerprint: str, identity: dict[str, Any]) -> None:
    """Note which run the training of this fingerprint belongs to."""
    if identity["run_id"] is None:  # nothing is recorded this time: what was noted before stays
        return
    place = unfinished(fingerprint)
    place.mkdir(parents=True, exist_ok=True)
    workspace.write_json(place / f".{RUN}", identity)
    (place / f".{RUN}").rename(place / RUN)


def begun(fingerprint: str) -> dict[str, Any]:
    """What `begin` noted, or nothing."""
    try:
        found: dict[str, Any] = workspace.read_json(unfinished(fingerprint) / RUN)
    except (OSError, ValueError):  # never begun, or killed while it was written
        return {}
    return found


def keep(fingerprint: str, folder: Path) -> None:
    """Keep a copy of the finished seed in `folder`, and drop its checkpoints; it appears whole or not at all."""
    place = workspace.state() / "seeds"
    place.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=place) as partial:
        whole = shutil.copytree(folder, Path(partial) / fingerprint)
        with contextlib.suppress(OSError):  # another process has just kept the same
            whole.rename(place / fingerprint)
    shutil.rmtree(unfinished(fingerprint), ignore_errors=True)
