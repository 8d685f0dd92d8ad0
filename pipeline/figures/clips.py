"""Which audio a variant has: sets of clips that are compared with each other, and so share one level."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio.representation import MelConfig
from pipeline.figures import audio, window_rows
from pipeline.figures.comparisons import mse
from pipeline.figures.entries import entry
from pipeline.figures.variant_data import Inputs, Window

SAME = 1e-3  # of a mel in [0, 1]: 0.08 dB

Heard = tuple[np.ndarray, int]  # samples and their rate


@dataclass(frozen=True)
class Clip:
    """One WAV file: what figures.json says of it, and its samples once they are there."""

    file: str
    title: str
    caption: str
    example: int
    role: str
    heard: "Future[Heard]"
    step: int | None = None
    label: str = ""


class Begin:
    """Gives clips to threads that render them."""

    def __init__(self, pool: Executor, inputs: Inputs, iterations: int) -> None:
        self._pool, self._inputs, self._iterations = pool, inputs, iterations

    def known(self, samples: np.ndarray) -> "Future[Heard]":
        """Samples that are there already, at the common rate."""
        return self._pool.submit(lambda: (samples, self._inputs.rate))

    def window(self, window: Window) -> "Future[Heard]":
        """A window as audio; a mel that is an example's reconstruction was inverted in evaluation."""
        if any(_alike(window, made) for _, made in self._inputs.pairs if made.number in self._inputs.heard):
            return self.known(self._inputs.heard[window.number].reconstruction)
        return self._pool.submit(self._render, lambda: window)

    def walk(self, steps: list[Window]) -> "Future[Heard]":
        """A walk as a window that morphs."""
        return self._pool.submit(self._render, lambda: audio.morph(steps, self._inputs.representation))

    def _render(self, window: Callable[[], Window]) -> Heard:
        config = self._inputs.representation
        clip = audio.render(window(), config, self._inputs.seconds, self._iterations)
        return audio.playable(clip, config.sample_rate)


def _alike(window: Window, made: Window) -> bool:
    """Whether a window is a reconstruction, of a mel and of an example of the same number."""
    if made.array.ndim != 2 or (made.number, made.peak_db) != (window.number, window.peak_db):
        return False
    return np.allclose(window.array, made.array, rtol=0, atol=SAME)


def begin(inputs: Inputs, pool: Executor, iterations: int) -> list[list[Clip]]:
    """Start to render everything that is heard, set by set."""
    start = Begin(pool, inputs, iterations)
    sets = [_example(number, inputs, start) for number in inputs.heard]
    sets += [[_sample(window, start)] for window in inputs.of("sample")]
    sets += [_walks(number, inputs, start) for number in inputs.numbers("linear")]
    sets += [[_perturbed(window, start) for window in inputs.of("perturbed")]]
    sets += [
        [_transfer(window, start) for window in inputs.of("transfer", number)] for number in inputs.numbers("transfer")
    ]
    return [found for found in sets if found]


def write(sets: list[list[Clip]], out: Path) -> list[dict[str, Any]]:
    """Write the WAV files below the folder `out`, and return what figures.json says of them."""
    (out / "audio").mkdir(exist_ok=True)
    entries = []
    for clips in sets:
        heard = [clip.heard.result() for clip in clips]
        factor = audio.turned_down([samples for samples, _ in heard])
        level = f" Turned down by {-20 * np.log10(factor):.1f} dB so as not to clip." if factor < 1 else ""
        for clip, (samples, rate) in zip(clips, heard, strict=True):
            file = f"audio/{clip.file}.wav"
            audio.write(out / file, samples, rate, factor)
            of: dict[str, Any] = {
                "example": clip.example,
                "role": clip.role,
                "step": clip.step,
                "label": clip.label or None,
            }
            entries.append(entry(file, clip.title, clip.caption + level, "audio", **of))
    return entries


def _example(number: int, inputs: Inputs, start: Begin) -> list[Clip]:
    """The recording, what the representation makes of it, and the reconstruction."""
    pair = next((pair for pair in inputs.pairs if pair[0].number == number), None)
    track, label = (pair[0].track_id, pair[0].label) if pair else (f"Example {number + 1}", "")
    is_mel = isinstance(inputs.representation, MelConfig)
    rate = inputs.representation.sample_rate
    through = "inverted mel spectrogram" if is_mel else f"at {rate:,} Hz"
    sounds = inputs.heard[number]
    error = f", MSE {mse(*pair):#.3g} on its own scale" if pair else ""
    of = {
        "original": (f"{track}, original", "The recording itself.", sounds.original),
        "ceiling": (
            f"{track}, {through}",
            "The recording's own mel spectrogram through the inversion: the best that a reconstruction can sound."
            if is_mel
            else f"The recording at the model's rate of {rate:,} Hz: the best that a reconstruction can sound.",
            sounds.ceiling,
        ),
        "reconstruction": (
            f"{track}, reconstruction{error}",
            "The reconstruction through the same inversion." if is_mel else "The reconstruction.",
            sounds.reconstruction,
        ),
    }
    return [
        Clip(f"example-{number}-{role}", title, caption, number, role, start.known(samples), label=label)
        for role, (title, caption, samples) in of.items()
    ]


def _sample(window: Window, start: Begin) -> Clip:
    title = f"Sample {window.number + 1}" + (f", {window.label}" if window.label else "")
    caption = "Decoded from a latent that was drawn from the prior" + (f", as {window.label}." if window.label else ".")
    heard = start.window(window)
    return Clip(f"sample-{window.number}", title, caption, window.number, "sample", heard, label=window.label)


def _walks(number: int, inputs: Inputs, start: Begin) -> list[Clip]:
    clips = []
    for kind, along in (("linear", "on a straight line"), ("slerp", "along an arc")):
        steps = inputs.of(kind, number)
        if steps:
            title = f"{window_rows.way(steps)}, {kind}"
            caption = f"From one window's latent to another's {along}, in the time of a single window."
            clips.append(Clip(f"walk-{number}-{kind}", title, caption, number, kind, start.walk(steps)))
    return clips


def _perturbed(window: Window, start: Begin) -> Clip:
    title = f"Moved by {window.scale:g} × spread" if window.scale else "Not moved"
    caption = "A window whose latent was moved at random, by so many times the spread of the latents over the data."
    of: dict[str, Any] = {"step": window.step, "label": window.label}
    return Clip(f"perturbed-{window.step}", title, caption, window.number, "perturbed", start.window(window), **of)


def _transfer(window: Window, start: Begin) -> Clip:
    title = f"{window.track_id} as {window.label}"
    caption = "Encoded under its own label, decoded under the one that is named."
    file = f"transfer-{window.number}-{window.step}"
    of: dict[str, Any] = {"step": window.step, "label": window.label}
    return Clip(file, title, caption, window.number, "transfer", start.window(window), **of)
