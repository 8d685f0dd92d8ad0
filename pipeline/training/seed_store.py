"""Finished and unfinished seeds below .melisma/, by fingerprint, so that no seed is trained twice.

DVC deletes a stage's output before it runs the stage again. With this store, a stage that was interrupted, or that got
one more seed, trains only what is missing, and never continues from other params, data or code.
"""

import contextlib
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core import workspace


class SeedStore:
    """The stored files of the seed with one fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        state = workspace.state_folder()
        self.fingerprint = fingerprint
        self.checkpoints = state / "checkpoints" / fingerprint  # deleted when the seed is finished
        self.lock = state / "locks" / fingerprint  # held by the process that trains this seed, in any workspace
        self._finished = state / "seeds" / fingerprint

    def restore(self, folder: Path) -> bool:
        """Copy the finished seed to `folder`; False if there is none."""
        if self._finished.is_dir():
            shutil.copytree(self._finished, folder)
        return self._finished.is_dir()

    def save(self, folder: Path) -> None:
        """Store a copy of the finished seed in `folder`, atomically, and delete its checkpoints."""
        self._finished.parent.mkdir(exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=self._finished.parent) as partial:
            copy = shutil.copytree(folder, Path(partial) / self.fingerprint)
            with contextlib.suppress(OSError):  # another process has just stored the same
                copy.rename(self._finished)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
