"""Generate audio from the latent space: `melisma interpolate` and `melisma sample`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.apply import output, synthesis
from pipeline.apply.input import InputRecording
from pipeline.apply.output import WrittenFile
from pipeline.apply.variant import TrainedVariant
from pipeline.apply.windows import BATCH_SIZE, represent, restore
from pipeline.audio.clip import MIN_RATE

FADE_SECONDS = 0.1  # between the steps of an interpolation


@torch.no_grad()
def interpolate(
    sources: tuple[Path, Path],
    target: Path,
    variant: TrainedVariant,
    steps: int,
    mode: str = "linear",
    at: tuple[float, float] = (0.0, 0.0),
    labels: tuple[str | None, str | None] = (None, None),
) -> WrittenFile:
    """Write an interpolation between a window of one recording and a window of another, step after step.

    The first and the last of the `steps` windows are the reconstructions of the recordings' windows, which start `at`
    these seconds. `mode` is linear or slerp. The peaks of mels are interpolated in dB. The file has the first
    recording's sample rate.

    Raises:
        ParamsError: the variant has no latent or not these labels, or a recording ends before `at`.
        DataError: a recording cannot be read, or the model's output is not finite.
    """
    variant.require_latent("interpolate")
    indices = torch.cat([variant.label_index(labels[0], "--from"), variant.label_index(labels[1], "--to")])
    audio, rates, notes = [], [], []
    for path, start in zip(sources, at, strict=True):
        with InputRecording(path, variant.seconds) as recording:
            audio.append(recording.window(start, variant.rate, variant.length))
            rates.append(recording.rate)
            notes += recording.notes
    x, peaks_db = represent(audio, variant.representation)
    x = x.to(variant.device)
    with output.new_file(target) as partial:
        decoded = variant.model.interpolate(x[0], x[1], steps, mode, indices)
        windows = restore(decoded, np.linspace(peaks_db[0], peaks_db[1], steps), variant)
        overlap = min(variant.positions // 2, round(FADE_SECONDS * variant.rate / variant.samples_per_position))
        length = variant.length + (steps - 1) * (variant.positions - overlap) * variant.samples_per_position
        file = _write_windows(partial, target, variant, windows, overlap, length, rates[0])
        return replace(file, notes=tuple(notes))


@torch.no_grad()
def sample(
    folder: Path,
    variant: TrainedVariant,
    number: int,
    random_seed: int = 0,
    label: str | None = None,
    peak_db: float = 0.0,
) -> list[WrittenFile]:
    """Draw windows from the prior and write them as sample-0.wav, sample-1.wav and so on.

    The same `number` and `random_seed` give the same samples. `folder` is created if missing; its other files stay. The
    peak of each mel becomes `peak_db`, in dB of mel power; a waveform has its own.

    ParamsError if the variant has no latent, or not this label; DataError if the model's output is not finite;
    MelismaError if `folder` cannot be written.
    """
    variant.require_latent("sample")
    index = variant.label_index(label, "--label")
    generator = torch.Generator().manual_seed(random_seed)
    rate = max(MIN_RATE, variant.rate)
    files: list[WrittenFile] = []
    with output.new_files(folder) as partial:
        while len(files) < number:
            count = min(BATCH_SIZE, number - len(files))
            decoded = variant.model.sample(count, generator, index.expand(count))
            for window in restore(decoded, np.full(count, peak_db), variant):
                name = f"sample-{len(files)}.wav"
                file = _write_windows(partial / name, folder / name, variant, window[None], 0, variant.length, rate)
                files.append(file)
    return files


def _write_windows(
    partial: Path, target: Path, variant: TrainedVariant, windows: np.ndarray, overlap: int, length: int, rate: int
) -> WrittenFile:
    """Join windows from `restore` and write them; `length` counts samples at the representation's rate."""
    audio = synthesis.to_audio(variant, windows, overlap)
    return output.write_audio(partial, target, variant, audio, rate, lambda: round(length * rate / variant.rate))
