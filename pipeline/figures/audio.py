"""Audio clips of a variant, as 16-bit WAV files. Clips that listeners compare are a set with a common gain."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.audio.clip import GAIN, common_gain, raise_rate
from pipeline.audio.representation import MelConfig, sample_count
from pipeline.audio.scale import FLOOR_DB, to_db
from pipeline.audio.wav import write_wav
from pipeline.figures import style
from pipeline.figures.comparisons import pair_mse
from pipeline.figures.registry import Entry
from pipeline.figures.variant_data import Representation, VariantData, Window
from pipeline.figures.window_rows import interpolation_name

Audio = tuple[np.ndarray, int]  # samples and rate
Clip = tuple[Entry, Window | np.ndarray]  # of a window, or of samples at the common rate
RenderedClip = tuple[Entry, "Future[Audio]"]


def morph(steps: Sequence[Window], config: Representation) -> Window:
    """One window that starts as the first step, ends as the last, and passes through the others at equal times.

    Each moment is a weighted mean of the two nearest steps: mels are mixed in dB, waveforms sample by sample. So
    nothing is cut, and nothing clicks.
    """
    values = np.stack([step.array for step in steps])
    if isinstance(config, MelConfig):
        values = to_db(np.clip(values, 0, 1)) + np.array([step.peak_db for step in steps])[:, None, None]
    position = np.linspace(0, len(steps) - 1, values.shape[-1])
    before = np.minimum(position.astype(int), max(0, len(steps) - 2))
    after = np.minimum(before + 1, len(steps) - 1)
    moments = np.arange(values.shape[-1])
    by_moment = np.moveaxis(values, -1, 0)  # (moments, steps, ...)
    weight = (position - before).reshape(-1, *[1] * (by_moment.ndim - 2))
    mixed = (1 - weight) * by_moment[moments, before] + weight * by_moment[moments, after]
    peak_db = 0.0
    if isinstance(config, MelConfig):
        peak_db = float(mixed.max())
        mixed = np.maximum((mixed - peak_db) / FLOOR_DB + 1, 0).T
    return Window(steps[0].kind, steps[0].index, np.ascontiguousarray(mixed, np.float32), peak_db=peak_db)


def start_clips(data: VariantData, pool: Executor) -> list[list[RenderedClip]]:
    """Start to render all clips, set by set."""
    sets = [_example_clips(index, data) for index in data.audio]
    sets += [[_window_clip(window)] for window in data.select("sample")]
    sets += [_interpolation_clips(index, data) for index in data.indices("linear")]
    sets += [[_window_clip(window) for window in data.select("perturbed")]]
    for index in data.indices("transfer"):
        sets.append([_window_clip(window) for window in data.select("transfer", index)])
    return [[(entry, pool.submit(_render, sound, data)) for entry, sound in clips] for clips in sets if clips]


def _render(sound: Window | np.ndarray, data: VariantData) -> Audio:
    if isinstance(sound, np.ndarray):
        return sound, data.rate
    rate, audio = data.representation.sample_rate, sound.array
    if data.inversion is not None:
        audio = data.inversion(audio, sound.peak_db, sample_count(data.seconds, rate))
    return raise_rate(audio, rate)


def write_clips(sets: list[list[RenderedClip]], out: Path) -> list[Entry]:
    """Write the WAV files below the folder `out`; return their entries."""
    (out / "audio").mkdir(exist_ok=True)
    entries = []
    for clips in sets:
        rendered = [audio.result() for _, audio in clips]
        gain = common_gain([samples for samples, _ in rendered])
        note = f" Turned down by {-20 * np.log10(gain):.1f} dB so as not to clip." if gain < 1 else ""
        for (entry, _), (samples, rate) in zip(clips, rendered, strict=True):
            write_wav(out / entry.file, samples * np.float32(GAIN * gain), rate)
            entries.append(replace(entry, caption=entry.caption + note))
    return entries


def _example_clips(index: int, data: VariantData) -> list[Clip]:
    """The original track, the original through the representation, and the reconstruction."""
    pair = next((pair for pair in data.pairs if pair[0].index == index), None)
    name, label = (style.isolate(pair[0].track_id), pair[0].label) if pair else (f"Example {index + 1}", "")
    error = f", MSE {pair_mse(*pair):#.3g} on its own scale" if pair else ""
    rate = data.representation.sample_rate
    if isinstance(data.representation, MelConfig):
        assert data.inversion is not None
        ceiling, through = "mel spectrogram as audio", f", by {data.inversion.name}"
        ceiling_caption = f"The recording's own mel spectrogram, made audible by {data.inversion.name}"
    else:
        ceiling, through = f"at {rate:,} Hz", ""
        ceiling_caption = f"The recording at the model's rate of {rate:,} Hz"
    texts = {
        "original": (f"{name}, original", "The recording itself."),
        "ceiling": (f"{name}, {ceiling}", f"{ceiling_caption}: no reconstruction can sound better."),
        "reconstruction": (f"{name}, reconstruction{error}", f"The reconstruction{through}."),
    }
    clips: list[Clip] = []
    for role, (title, caption) in texts.items():
        entry = Entry(f"audio/example-{index}-{role}.wav", title, caption, "audio", index, role, label or None)
        clips.append((entry, getattr(data.audio[index], role)))
    return clips


def _interpolation_clips(index: int, data: VariantData) -> list[Clip]:
    """Each interpolation as one window that changes over time."""
    clips: list[Clip] = []
    for kind, path in (("linear", "on a straight line"), ("slerp", "along an arc")):
        steps = data.select(kind, index)
        if steps:
            title = f"{interpolation_name(steps)}, {kind}"
            caption = f"From one window's latent to another's {path}, in the time of a single window."
            entry = Entry(f"audio/walk-{index}-{kind}.wav", title, caption, "audio", index, kind)
            clips.append((entry, morph(steps, data.representation)))
    return clips


def _window_clip(window: Window) -> Clip:
    """The clip of a sample, a perturbed window or a transfer."""
    index, step, label, text = window.index, window.step, window.label, style.isolate(window.label)
    if window.kind == "sample":
        file = f"audio/sample-{index}.wav"
        title = f"Sample {index + 1}" + (f", {text}" if label else "")
        caption = "Decoded from a latent that was drawn from the prior" + (f", as {text}." if label else ".")
        return Entry(file, title, caption, "audio", index, "sample", label or None), window
    if window.kind == "perturbed":
        file = f"audio/perturbed-{step}.wav"
        title = f"Moved by {window.scale:g} × std" if window.scale else "Not moved"
        caption = "A window whose latent was moved in a random direction; std is the latents' standard deviation."
    else:
        file, title = f"audio/transfer-{index}-{step}.wav", f"{style.isolate(window.track_id)} as {text}"
        caption = "Encoded with its own label, decoded with the label in the title."
    return Entry(file, title, caption, "audio", index, window.kind, label or None), window
