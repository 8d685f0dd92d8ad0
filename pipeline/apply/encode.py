"""Write the latents of recordings to a table: `melisma encode`."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.apply import output
from pipeline.apply.input import InputRecording, OnProgress, ignore_progress
from pipeline.apply.variant import TrainedVariant
from pipeline.apply.windows import batches, finite_array
from pipeline.audio.representation import MelConfig, sample_count
from pipeline.core import arrays
from pipeline.core.errors import ParamsError


@dataclass(frozen=True)
class LatentTable:
    """A Parquet table that was written."""

    path: str
    windows: int  # rows
    latent_dims: int
    notes: tuple[str, ...]


def encode(
    sources: Sequence[Path],
    target: Path,
    variant: TrainedVariant,
    hop: float | None = None,
    label: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> LatentTable:
    """Write the latent of every window of all `sources` to the Parquet table `target`.

    Columns: path, start_seconds, seconds (less than a window's length if the recording ends in it: zeros follow),
    latent (the posterior's mean, float32), codes (positions,) if the variant has a codebook. To decode a window at its
    own loudness one also needs peak_db (mels) or level (waveforms that the variant scales).

    `hop` is the time in seconds from one window's start to the next, by default a window's length.

    Raises:
        ParamsError: the variant has no latent or not this label, `hop` is less than a sample, or a file is missing.
        DataError: a recording cannot be read, or a latent is not finite.
    """
    variant.require_latent("encode")
    hop_samples = variant.length if hop is None else sample_count(hop, variant.rate)
    if hop_samples < 1:
        raise ParamsError(f"--hop {hop:g}: less than one sample at {variant.rate} Hz")
    index = variant.label_index(label, "--label")
    windows, notes = 0, []
    with output.new_file(target) as partial, arrays.Writer(partial) as writer:
        for path in sources:
            with InputRecording(path, variant.seconds, on_progress) as recording:
                for row in _encoded_rows(recording, variant, hop_samples, index):
                    writer.add(row)
                    windows += 1
                notes += recording.notes
    return LatentTable(str(target), windows, variant.model.latent_dims, tuple(notes))


@torch.no_grad()
def _encoded_rows(
    recording: InputRecording, variant: TrainedVariant, hop: int, label: Tensor
) -> Iterator[dict[str, Any]]:
    for batch in batches(variant, recording.resampled_blocks(variant.rate), hop):
        code = variant.model.encode(batch.x, None, label.expand(len(batch.x)))
        latents = finite_array(code.mean, variant, "latent")
        for i, start in enumerate(batch.starts):
            row: dict[str, Any] = {
                "path": os.fsencode(recording.path).decode("utf-8", "backslashreplace"),  # Parquet takes no other bytes
                "start_seconds": float(start / variant.rate),
                "seconds": float(batch.lengths[i] / variant.rate),
                "latent": latents[i],
            }
            if code.indices is not None:
                row["codes"] = code.indices[i].cpu().numpy().astype(np.int32)
            if isinstance(variant.representation, MelConfig):
                row["peak_db"] = float(batch.peaks_db[i])
            if code.gain is not None:
                row["level"] = float(code.gain[i])  # the window is divided by this gain
            yield row
