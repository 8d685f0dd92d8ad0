"""Pass a recording through a trained variant: `melisma reconstruct`, `melisma perturb` and `melisma transfer`.

The steps, in order; each one pulls blocks or windows from the step before, so memory does not grow with the recording:

1. `InputRecording` reads blocks, mixes them to mono and resamples them to the variant's rate (input.py).
2. `batches` cuts them into overlapping windows and scales these as in training (windows.py).
3. The command's transform turns each batch into new windows.
4. `restore` undoes the scaling (windows.py).
5. `to_audio` joins the windows to one signal (synthesis.py).
6. `write_audio` resamples it to the recording's rate and writes a WAV file of its length (output.py).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.apply import output, synthesis
from pipeline.apply.input import InputRecording, OnProgress, ignore_progress
from pipeline.apply.output import WrittenFile
from pipeline.apply.variant import TrainedVariant
from pipeline.apply.windows import batches, restore

Transform = Callable[[Tensor], Tensor]  # windows (B, 1, *shape) to windows


def reconstruct(variant: TrainedVariant, label: str | None = None) -> Transform:
    """A transform that encodes a window with `label` and decodes the posterior's mean."""
    index = variant.label_index(label, "--label")
    return lambda x: variant.model.reconstruct(x, index.expand(len(x)))


def perturb(variant: TrainedVariant, scale: float, random_seed: int, label: str | None = None) -> Transform:
    """A transform that moves each latent by `scale` times the latents' standard deviation over the data.

    All windows move in the same random direction: with one each, a recording would waver from window to window.
    """
    variant.require_latent("perturb")
    index = variant.label_index(label, "--label")

    def transform(x: Tensor) -> Tensor:
        generators = (torch.Generator().manual_seed(random_seed) for _ in x)
        moved = (variant.model.perturb(row[None], scale, g, index) for row, g in zip(x, generators, strict=True))
        return torch.cat(list(moved))

    return transform


def transfer(variant: TrainedVariant, source: str | None, target: str) -> Transform:
    """A transform that encodes a window with label `source` (None: not known) and decodes it with label `target`."""
    variant.require_latent("transfer")
    target_index = variant.label_index(target, "--to")
    source_index = variant.label_index(source, "--from")
    return lambda x: variant.model.transfer(x, source_index.expand(len(x)), target_index.expand(len(x)))


def convert(
    source: Path,
    target: Path,
    variant: TrainedVariant,
    transform: Transform,
    on_progress: OnProgress = ignore_progress,
) -> WrittenFile:
    """Write the recording `source`, with `transform` applied to its windows, to the WAV file `target`.

    Raises:
        DataError: the recording cannot be read, or the model's output is not finite.
        MelismaError: `target` cannot be written.
    """
    with output.new_file(target) as partial, InputRecording(source, variant.seconds, on_progress) as recording:
        blocks = recording.resampled_blocks(variant.rate)
        audio = transform_audio(variant, blocks, transform)
        # Up to here nothing is computed: `write_audio` pulls the audio.
        file = output.write_audio(partial, target, variant, audio, recording.rate, lambda: recording.samples)
        return replace(file, notes=tuple(recording.notes))


@torch.no_grad()
def transform_audio(
    variant: TrainedVariant, blocks: Iterable[np.ndarray], transform: Transform
) -> Iterator[np.ndarray]:
    """Pass (n,) blocks of audio at the variant's rate through the model: steps 2 to 5.

    Windows overlap by half, since a window is worst at its ends. The last one is padded, so the result may be longer.
    """
    overlap = variant.positions // 2
    hop = (variant.positions - overlap) * variant.samples_per_position
    inputs = batches(variant, blocks, hop)
    outputs = (window for batch in inputs for window in restore(transform(batch.x), batch.peaks_db, variant))
    yield from synthesis.to_audio(variant, outputs, overlap)
