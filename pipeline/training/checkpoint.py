"""Where a training stands, on disk, so that one that was killed goes on as if it had not been."""

import contextlib
import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import torch

from pipeline import workspace

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
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        partial = self.folder / "partial"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.folder / f"{place}-{hashlib.sha256(content).hexdigest()[:16]}.pt")
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
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest()[:16] != path.stem.split("-")[-1]:
                    raise ValueError("its bytes are not those that were written")
                state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
                return state
            except (OSError, ValueError) as error:
                workspace.say(f"warning: {path}: damaged checkpoint ({error}); going back to the one before")
                path.unlink(missing_ok=True)
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("*-*.pt"), reverse=True)
