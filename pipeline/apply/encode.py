"""Latents of the windows of recordings, as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.apply import output
from pipeline.apply.source import OnRead, Source, quietly
from pipeline.apply.trained import Trained
from pipeline.apply.windows import batches
from pipeline.audio.representation import MelConfig, sample_count
from pipeline.core import arrays
from pipeline.core.errors import DataError, ParamsError


@dataclass(frozen=True)
class Encoded:
    """A table that was made.

    Attributes:
        path: of it.
        windows: its rows.
        latent_dims: numbers in a latent.
        notes: what else is to be said.
    """

    path: str
    windows: int
    latent_dims: int
    notes: tuple[str, ...]


def encode(
    sources: Sequence[Path],
    target: Path,
    trained: Trained,
    hop: float | None = None,
    label: str | None = None,
    on_read: OnRead = quietly,
) -> Encoded:
    """Write the latent of every window of all `sources` to the Parquet table `target`.

    Columns: path, start_seconds, seconds (less than a window's where the recording ends in it: the rest is zeros),
    latent (the posterior's mean, float32), codes (positions,) where the variant has a codebook, peak_db of mels, and
    level where the variant scales waveforms: what is needed beside the latent to decode a window at its own loudness.

    Args:
        sources: audio files.
        target: file to write, which `output.check` has seen.
        trained: the variant.
        hop: seconds from a window's start to the next one's; a window's length by default.
        label: that the windows are encoded as of.
        on_read: see `Source`.

    Raises:
        ParamsError: the variant has no latent or not this label, `hop` is less than a sample, a file is not there.
        DataError: a recording cannot be read, or the model gives no finite numbers.
    """
    trained.need_latent("encode")
    step = trained.length if hop is None else sample_count(hop, trained.rate)
    if step < 1:
        raise ParamsError(f"--hop {hop:g}: less than one sample at {trained.rate} Hz")
    index = trained.label(label, "--label")
    number, notes = 0, []
    with output.aside(target) as partial, arrays.Writer(partial) as writer:
        for path in sources:
            with Source(path, on_read) as recording:
                for row in _rows(recording, trained, step, index):
                    writer.add(row)
                    number += 1
                notes += recording.notes
    return Encoded(str(target), number, trained.model.latent_dims, tuple(notes))


@torch.no_grad()
def _rows(recording: Source, trained: Trained, hop: int, label: Tensor) -> Iterator[dict[str, Any]]:
    for batch in batches(trained, recording.blocks(trained.rate), hop):
        code = trained.model.encode(batch.x, None, label.expand(len(batch.x)))
        latents = code.mean.float().cpu().numpy()
        if not np.isfinite(latents).all():
            raise DataError(
                f"variant {trained.name}, seed {trained.seed}: its latents are not finite; its training has diverged, "
                "train it again"
            )
        for i, start in enumerate(batch.starts):
            row: dict[str, Any] = {
                "path": str(recording.path),
                "start_seconds": float(start / trained.rate),
                "seconds": float(batch.filled[i] / trained.rate),
                "latent": latents[i],
            }
            if code.indices is not None:
                row["codes"] = code.indices[i].cpu().numpy().astype(np.int32)
            if isinstance(trained.representation, MelConfig):
                row["peak_db"] = float(batch.peaks[i])
            if code.level is not None:
                row["level"] = float(code.level[i])
            yield row
