"""A recording through a variant, to a recording of the same length and rate."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.apply import output, synthesis
from pipeline.apply.source import OnRead, Source, quietly
from pipeline.apply.trained import Trained
from pipeline.apply.windows import batches, restore
from pipeline.audio.resample import resample_blocks

Change = Callable[[Tensor], Tensor]  # windows (B, 1, *shape) to windows


@dataclass(frozen=True)
class Written:
    """A WAV file that was made.

    Attributes:
        path: of it.
        seconds: that it lasts.
        rate: its own, in Hz.
        reach_hz: above which it holds nothing, since the variant's representation does not.
        gain_db: below 0 where it was turned down so that it does not clip.
        notes: what else is to be said.
    """

    path: str
    seconds: float
    rate: int
    reach_hz: float
    gain_db: float
    notes: tuple[str, ...] = ()


def reconstruct(trained: Trained, label: str | None = None) -> Change:
    """Windows to what the posterior's mean gives, encoded and decoded as of `label`."""
    index = trained.label(label, "--label")
    return lambda x: trained.model.reconstruct(x, index.expand(len(x)))


def perturb(trained: Trained, scale: float, random_seed: int, label: str | None = None) -> Change:
    """Every latent moved by `scale` times the latents' spread over the data, in one random direction for all windows.

    With a direction of its own for each, a recording would waver from window to window.
    """
    trained.need_latent("perturb")
    index = trained.label(label, "--label")

    def change(x: Tensor) -> Tensor:
        generators = (torch.Generator().manual_seed(random_seed) for _ in x)
        moved = (trained.model.perturb(row[None], scale, g, index) for row, g in zip(x, generators, strict=True))
        return torch.cat(list(moved))

    return change


def transfer(trained: Trained, source: str | None, target: str) -> Change:
    """Windows encoded as of label `source`, where it is known, and decoded as of `target`."""
    trained.need_latent("transfer")
    end = trained.label(target, "--to")
    begin = trained.label(source, "--from")
    return lambda x: trained.model.transfer(x, begin.expand(len(x)), end.expand(len(x)))


def convert(source: Path, target: Path, trained: Trained, change: Change, on_read: OnRead = quietly) -> Written:
    """Write what `change` makes of the recording `source` to `target`.

    Args:
        source: any audio file.
        target: file to write, which `output.check` has seen.
        trained: the variant.
        change: what is done to its windows.
        on_read: see `Source`.

    Raises:
        DataError: the recording cannot be read, or the model gives no finite numbers.
        MelismaError: `target` cannot be written.
    """
    with output.aside(target) as partial, Source(source, on_read) as recording:
        changed = through(trained, recording.blocks(trained.rate), change)
        blocks = resample_blocks(changed, trained.rate, recording.rate)
        gain = output.write_wav(partial, blocks, recording.rate, lambda: recording.heard)
        made = written(target, recording.heard, recording.rate, trained, gain)
        return replace(made, notes=tuple(recording.notes))


@torch.no_grad()
def through(trained: Trained, blocks: Iterable[np.ndarray], change: Change) -> Iterator[np.ndarray]:
    """Audio, (n,) blocks at the representation's rate, through the model; at least as long, since windows are filled.

    Windows overlap by half: each is heard where it is far from its ends.
    """
    overlap = synthesis.places(trained) // 2
    hop = (synthesis.places(trained) - overlap) * synthesis.unit(trained)

    def windows() -> Iterator[np.ndarray]:
        for batch in batches(trained, blocks, hop):
            yield from restore(change(batch.x), batch.peaks, trained)

    yield from synthesis.heard(trained, windows(), overlap)


def written(path: Path, samples: int, rate: int, trained: Trained, gain: float) -> Written:
    """What is to be said of a file of so many `samples`."""
    return Written(
        path=str(path),
        seconds=samples / rate,
        rate=rate,
        reach_hz=min(rate, trained.rate) / 2,
        gain_db=float(20 * np.log10(gain)),
    )
