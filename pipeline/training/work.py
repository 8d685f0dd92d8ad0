"""Finished seeds, kept under a fingerprint so that none is trained twice.

DVC deletes a stage's output before it runs the stage again; what stands here lets a stage that was interrupted between
two seeds, or that was given one more seed, train just the missing ones.
"""

import contextlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import workspace


def restore(fingerprint: str, to: Path) -> bool:
    """Copy the finished seed of this fingerprint to `to`, where there is one."""
    kept = workspace.state() / "seeds" / fingerprint
    if kept.is_dir():
        shutil.copytree(kept, to)
    return kept.is_dir()


def keep(fingerprint: str, folder: Path) -> None:
    """Keep a copy of the finished seed in `folder`; it appears whole or not at all."""
    place = workspace.state() / "seeds"
    place.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=place) as partial:
        whole = shutil.copytree(folder, Path(partial) / fingerprint)
        with contextlib.suppress(OSError):  # another process has just kept the same
            whole.rename(place / fingerprint)
