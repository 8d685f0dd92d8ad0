"""All figures and audio of one variant, and the list of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.cache.config import MelConfig, WaveformConfig
from pipeline.errors import DataError
from pipeline.figures import audio, curves, latents, style, windows
from pipeline.figures.config import FiguresConfig
from pipeline.figures.inputs import AGAIN, Inputs, Window, load
from pipeline.runtime import cores
from pipeline.workspace import write_json


def draw(variant: str, models: Path, evaluation: Path, out: Path, config: FiguresConfig) -> list[dict[str, Any]]:
    """Draw `variant` into the folder `out`: PNG files, audio/*.wav and figures.json.

    Args:
        variant: its name below `models` and `evaluation`, the folders of all variants.
        models: holds <variant>/seed-<n>/history.csv and snapshots.parquet.
        evaluation: holds <variant>/config.json, metrics.json, latents.parquet and examples.parquet.
        out: an existing folder.
        config: resolution, and how long Griffin-Lim runs.

    Returns:
        What figures.json holds: for each file its path below `out`, title, caption, kind (image or audio), and for
        audio its example (from 0), role (original, reconstruction or sample) and label; None where that means nothing.

    Raises:
        DataError: an input is missing, damaged or not finite.
    """
    inputs = load(variant, models, evaluation)
    if not inputs.pairs or not any(w.kind == "original" for w in inputs.snapshots):
        raise DataError(f"{evaluation / variant}: there are no examples or no snapshots to draw; {AGAIN}")
    entries = []
    with style.look():
        for file, title, caption, picture in _pictures(inputs):
            style.save(picture, out / file, config.dpi)
            entries.append(_entry(file, title, caption, "image"))
    entries += _audio(inputs, out, config.griffin_lim_iterations)
    write_json(out / "figures.json", entries)
    return entries


def _pictures(inputs: Inputs) -> list[tuple[str, str, str, Figure]]:
    """(file, title, caption, picture) of each image, in the order of the report."""
    representation = inputs.representation
    if isinstance(representation, MelConfig):
        compared = windows.mel_reconstructions(inputs.pairs, representation)
        how = "Log-mel spectrograms of test windows, their reconstructions, and the difference between the two in dB."
    else:
        compared = windows.waveform_reconstructions(inputs.pairs, representation)
        how = "Test windows (dark) and their reconstructions (coloured) as waveforms and as spectrograms."
    seeds = len(inputs.histories)
    shown = f" Shown is seed {inputs.seed}, one of {seeds}." if seeds > 1 else ""
    found = [("reconstructions.png", "Reconstructions", how + _from(inputs) + shown, compared)]
    if inputs.baseline:
        found += _of_baseline(inputs)
    else:
        found += _of_training(inputs, shown)
    if inputs.latents.shape[1]:
        what = "Coordinates" if inputs.baseline else "Posterior means"
        caption = (
            f"{what} of {len(inputs.latents)} test windows, projected on the two directions in which they "
            "vary most (PCA fitted on these windows)." + shown
        )
        found.append(("latent_pca.png", "Latent space", caption, latents.latent_pca(inputs.latents, inputs.labels)))
    if inputs.samples:
        caption = "Windows decoded from latents drawn from the prior: what the model makes up by itself." + shown
        found.append(("samples.png", "Samples of the prior", caption, windows.samples(inputs.samples, representation)))
    return found


def _from(inputs: Inputs) -> str:
    if not inputs.baseline:
        return " Each is decoded from the posterior mean."
    if not inputs.latents.shape[1]:
        return " Each reconstruction is the mean of the training windows."
    return f" Each is made of {inputs.latents.shape[1]} principal components of the training windows."


def _of_training(inputs: Inputs, shown: str) -> list[tuple[str, str, str, Figure]]:
    """Pictures of how it was trained."""
    seeds = len(inputs.histories)
    below = any(w.kind == "sample" for w in inputs.snapshots)
    return [
        (
            "training_curves.png",
            "Training curves",
            "Terms of the objective for each epoch, dashed on training and solid on validation windows; the validation "
            "objective is taken at the final weight of the KL term throughout."
            + (f" One line for each of {seeds} seeds." if seeds > 1 else ""),
            curves.training_curves(inputs.histories),
        ),
        (
            "progress.png",
            "Progress over the epochs",
            "One fixed window and its reconstruction as training goes on"
            + ("; below it, what one fixed latent drawn from the prior is decoded to." if below else ".")
            + shown,
            windows.progress(inputs.snapshots, inputs.representation),
        ),
    ]


def _of_baseline(inputs: Inputs) -> list[tuple[str, str, str, Figure]]:
    """Pictures of what was fitted at once: the error at every size, where there are several."""
    if inputs.sizes is None or len(inputs.sizes) < 3:
        return []
    caption = "Error of the test windows with so many principal components, with its 95 % interval over recordings."
    picture = curves.component_curve(inputs.sizes, inputs.mse_mean)
    return [("components.png", "Error by number of components", caption, picture)]


def _audio(inputs: Inputs, out: Path, iterations: int) -> list[dict[str, Any]]:
    """Write the WAV files and describe them."""
    (out / "audio").mkdir(exist_ok=True)
    config = inputs.representation
    entries = []
    # Each thread's products run alone: `mel_to_audio` says why, and its own limit would end with the first of them.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        pairs = [[pool.submit(_render, window, inputs, iterations) for window in pair] for pair in inputs.pairs]
        samples = [pool.submit(_render, window, inputs, iterations) for window in inputs.samples]
    for number, pair in enumerate(inputs.pairs):
        heard = [rendered.result() for rendered in pairs[number]]
        gain = audio.common_gain(*(sound for sound, _ in heard))
        for window, (sound, rate) in zip(pair, heard, strict=True):
            file = f"audio/example-{number}-{window.kind}.wav"
            audio.write(out / file, sound, rate, gain)
            title = f"{window.track_id}, {window.kind}"
            if window.kind == "reconstruction":
                title += f", MSE {windows.mse(*pair):#.3g}"
            entries.append(_entry(file, title, _made(config), "audio", number, window.kind, window.label))
    for number in range(len(samples)):
        sound, rate = samples[number].result()
        file = f"audio/sample-{number}.wav"
        audio.write(out / file, sound, rate, audio.common_gain(sound))
        entries.append(_entry(file, f"Sample {number + 1}", _made(config), "audio", number, "sample"))
    return entries


def _render(window: Window, inputs: Inputs, iterations: int) -> tuple[Any, int]:
    config = inputs.representation
    return audio.playable(audio.render(window, config, inputs.seconds, iterations), config.sample_rate)


def _made(config: MelConfig | WaveformConfig) -> str:
    """How a window became audio, in a sentence."""
    if isinstance(config, MelConfig):
        return "Made from mel spectrograms by one inversion and Griffin-Lim, originals and reconstructions alike."
    if config.sample_rate < audio.LOWEST_RATE:
        return f"Waveforms at {config.sample_rate:,} Hz, resampled to {audio.LOWEST_RATE:,} Hz for playing."
    return f"Waveforms at {config.sample_rate:,} Hz."


def _entry(
    file: str, title: str, caption: str, kind: str, example: int | None = None, role: str | None = None, label: str = ""
) -> dict[str, Any]:
    return {
        "file": file,
        "title": title,
        "caption": caption,
        "kind": kind,
        "example": example,
        "role": role,
        "label": label or None,
    }
