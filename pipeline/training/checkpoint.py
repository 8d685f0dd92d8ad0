"""Checkpoints of one training on disk: after a kill, the training continues with the same result."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.core import workspace

MAX_FILES = 2  # the older one in case the newer is damaged


class Checkpoints:
    """The checkpoints of one training, in their own folder.

    A file's name holds the position in the training and the start of the digest of its bytes. Writing is atomic.
    `seconds` pass between two checkpoints; 0: one after each step.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self._last_save = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._last_save >= self.seconds

    def save(self, position: str, state: dict[str, Any]) -> bool:
        """Write tensors and plain values, and delete all checkpoints but the newest two.

        `position` must grow in alphabetical order. False after a warning if the disk is full: the training goes on.
        """
        self._last_save = time.monotonic()
        partial = self.folder / "partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.folder / f"{position}-{workspace.sha256(partial)[:16]}.pt")
            for old in self._files()[MAX_FILES:]:
                old.unlink()
        except OSError as error:
            workspace.say(f"warning: {self.folder}: no checkpoint was written ({error.strerror}); going on without it")
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            return False
        return True

    def load_latest(self) -> dict[str, Any] | None:
        """The newest checkpoint that is not damaged, on the CPU; None if there is none. Damaged ones are deleted."""
        for path in self._files():
            try:
                if workspace.sha256(path)[:16] == path.stem.split("-")[-1]:
                    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                    return state
                workspace.say(f"warning: {path}: damaged checkpoint, removed; going back to the checkpoint before")
                path.unlink(missing_ok=True)
            except OSError as error:
                workspace.say(f"warning: {path}: {error.strerror or error}; going back to the checkpoint before")
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("*-*.pt"), reverse=True)
