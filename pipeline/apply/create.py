"""Sound that no recording has: the way between two windows, and draws from the prior."""

from pathlib import Path

import numpy as np
import torch

from pipeline.apply import output, synthesis
from pipeline.apply.convert import Written, written
from pipeline.apply.source import Source
from pipeline.apply.trained import Trained
from pipeline.apply.windows import BATCH, represent, restore
from pipeline.audio.resample import resample_blocks

FADE_SECONDS = 0.1  # from one step of a walk to the next
LOWEST_RATE = 8000  # Hz of samples: less is not played everywhere


@torch.no_grad()
def interpolate(
    sources: tuple[Path, Path],
    target: Path,
    trained: Trained,
    steps: int,
    mode: str = "linear",
    at: tuple[float, float] = (0.0, 0.0),
    labels: tuple[str | None, str | None] = (None, None),
) -> Written:
    """Write the way from a window of one recording to a window of another: its steps one after another.

    The first and the last step are the two windows' reconstructions. Levels of mel peaks go from one to the other in
    dB. The steps are cross-faded over 0.1 s, and written at the first recording's rate.

    Args:
        sources: two recordings.
        target: file to write, which `output.check` has seen.
        trained: the variant.
        steps: windows on the way, both ends among them.
        mode: linear or slerp.
        at: where the window begins in each recording, in seconds.
        labels: of the two windows, for a variant with a condition.

    Raises:
        ParamsError: the variant has no latent or not these labels, or a recording ends before `at`.
        DataError: a recording cannot be read, or the model gives no finite numbers.
    """
    trained.need_latent("interpolate")
    ends = torch.cat([trained.label(labels[0], "--from"), trained.label(labels[1], "--to")])
    audio, rates = [], []
    for path, start in zip(sources, at, strict=True):
        with Source(path) as recording:
            audio.append(recording.window(start, trained.rate, trained.length))
            rates.append(recording.rate)
    x, peaks = represent(audio, trained.representation)
    x = x.to(trained.device)
    with output.aside(target) as partial:
        way = trained.model.interpolate(x[0], x[1], steps, mode, ends)
        windows = restore(way, np.linspace(peaks[0], peaks[1], steps), trained)
        overlap = min(synthesis.places(trained) // 2, round(FADE_SECONDS * trained.rate / synthesis.unit(trained)))
        length = trained.length + (steps - 1) * (synthesis.places(trained) - overlap) * synthesis.unit(trained)
        return _write(partial, target, trained, windows, overlap, length, rates[0])


@torch.no_grad()
def sample(
    folder: Path, trained: Trained, number: int, random_seed: int = 0, label: str | None = None, peak_db: float = 0.0
) -> list[Written]:
    """Write `number` windows drawn from the prior to `folder`, as sample-0.wav and so on.

    Args:
        folder: made if it is not there; files of the same names are replaced, others stay.
        trained: the variant.
        number: of windows.
        random_seed: of the draw: the same number and seed give the same samples.
        label: that is drawn, for a variant with a condition.
        peak_db: level of each mel's peak, in dB of mel power; waveforms have their own.

    Raises:
        ParamsError: the variant has no latent, or not this label.
        DataError: the model gives no finite numbers.
        MelismaError: `folder` cannot be written.
    """
    trained.need_latent("sample")
    index = trained.label(label, "--label")
    generator = torch.Generator().manual_seed(random_seed)
    rate = max(LOWEST_RATE, trained.rate)
    made: list[Written] = []
    with output.folder(folder) as partial:
        while len(made) < number:
            count = min(BATCH, number - len(made))
            drawn = trained.model.sample(count, generator, index.expand(count))
            for window in restore(drawn, np.full(count, peak_db), trained):
                name = f"sample-{len(made)}.wav"
                made.append(_write(partial / name, folder / name, trained, window[None], 0, trained.length, rate))
    return made


def _write(
    path: Path, target: Path, trained: Trained, windows: np.ndarray, overlap: int, length: int, rate: int
) -> Written:
    """Windows as `restore` gives them to a WAV file of what are `length` samples at the representation's rate."""
    blocks = resample_blocks(synthesis.heard(trained, windows, overlap), trained.rate, rate)
    samples = round(length * rate / trained.rate)
    gain = output.write_wav(path, blocks, rate, lambda: samples)
    return written(target, samples, rate, trained, gain)
