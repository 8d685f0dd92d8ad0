"""Where a training stands, on disk, so that one that was killed goes on as if it had not been."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.core import workspace

KEPT = 2  # the older one in case that the newer is damaged


class Checkpoints:
    """The checkpoints of one training, in a folder of its own.

    A file's name tells where the training stood and ends with the digest of its bytes. It appears whole or not at all.

    Args:
        folder: of this training alone; made when there is something to keep.
        seconds: between two checkpoints; 0 for one after each step.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, place: str, state: dict[str, Any]) -> bool:
        """Write tensors and plain values, and drop all but the newest two.

        Args:
            place: where the training stands; later ones come later in the alphabet.
            state: what to keep.

        Returns:
            Whether it could be written. A full disk is said, and the training goes on with the earlier ones.
        """
        self._last = time.monotonic()
        partial = self.folder / "partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.folder / f"{place}-{workspace.sha256(partial)[:16]}.pt")
            for old in self._files()[KEPT:]:
                old.unlink()
        except OSError as error:
            workspace.say(f"warning: {self.folder}: no checkpoint was written ({error.strerror}); going on without it")
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            return False
        return True

    def latest(self) -> dict[str, Any] | None:
        """The newest that is not damaged, its tensors on the CPU; None where there is none.

        One that is damaged is named, removed and passed over.
        """
        for path in self._files():
            try:
                if workspace.sha256(path)[:16] == path.stem.split("-")[-1]:
                    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                    return state
                workspace.say(f"warning: {path}: damaged checkpoint, removed; going back to the one before")
                path.unlink(missing_ok=True)
            except OSError as error:
                workspace.say(f"warning: {path}: {error.strerror or error}; going back to the checkpoint before")
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("*-*.pt"), reverse=True)
