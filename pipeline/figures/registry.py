"""The list of all pictures and animations of a variant, with their captions.

To add a picture, write a function that returns a matplotlib figure (`grid.FigureGrid` helps), and yield it in one of
the generators below, under the condition that the variant has its data:

    if data.select("sample"):
        caption = "The loudest frame of each sample of the prior."
        draw = lambda: draw_sample_peaks(data.select("sample"), data.representation)
        yield Picture("sample_peaks.png", "Peaks of the samples", caption, draw)

Stage figures then writes it, and the report shows it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig
from pipeline.figures import comparisons, curves, latent_space, latent_usage, training_progress, window_rows
from pipeline.figures.variant_data import VariantData


@dataclass(frozen=True)
class Entry:
    """What figures.json holds of a file.

    Attributes:
        file: below the folder of figures.json.
        title: a few words.
        caption: what the file shows, in sentences.
        kind: image, animation or audio.
        example: of audio, number of the example, interpolation or sample, from 0.
        role: of audio: original, ceiling, reconstruction, sample, linear, slerp, perturbed or transfer.
        step: of perturbed, the step; of transfer, the number of the target label.
        label: of the window, or the one given to a sample or transfer.
    """

    file: str
    title: str
    caption: str
    kind: str
    example: int | None = None
    role: str | None = None
    step: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Picture:
    """A PNG file and the function that draws it."""

    file: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    has_spectrograms: bool = False  # and no other colours than `style.to_palette` has


@dataclass(frozen=True)
class Animation:
    """A GIF file and the function that writes it, at a resolution in dots per inch."""

    file: str
    title: str
    caption: str
    write: Callable[[Path, int], int]


def variant_figures(data: VariantData) -> Iterator[Picture | Animation]:
    """All pictures and animations of a variant, in the order of the report."""
    yield from _reconstruction_pictures(data)
    if not data.is_baseline:
        yield from _training_figures(data)
    yield from _latent_pictures(data)
    yield from _decoder_pictures(data)
    sizes = data.tables.get("sizes")
    if sizes is not None and len(sizes) >= 3:
        yield Picture(
            "components.png",
            "Error by number of components",
            "Error of the test windows with so many principal components, with its 95 % interval over recordings.",
            lambda: curves.draw_component_curve(sizes, float(data.metrics["mse_mean"])),
        )


def _seed_note(data: VariantData) -> str:
    seeds = len(data.histories)
    return f" Shown is seed {data.seed}, one of {seeds}." if seeds > 1 else ""


def _reconstruction_pictures(data: VariantData) -> Iterator[Picture]:
    config, pairs, extremes, note = data.representation, data.pairs, data.extremes, _seed_note(data)
    is_mel = isinstance(config, MelConfig)
    if is_mel:
        content = (
            "Log-mel spectrograms of test windows, their reconstructions, and the absolute difference between the two."
        )
    else:
        content = (
            "Test windows, their reconstructions and the difference between the two, as waveforms and spectrograms; "
            "right, both waveforms where the original is loudest."
        )
    yield Picture(
        "reconstructions.png",
        "Reconstructions",
        content + _source_note(data) + note,
        lambda: comparisons.draw_reconstructions(pairs, config),
        has_spectrograms=True,
    )
    if extremes:
        errors = " to ".join(f"{window.scale:#.3g}" for window in (extremes[0][0], extremes[-1][0]))
        yield Picture(
            "extremes.png",
            "Best, median and worst",
            f"The test windows with the lowest, the median and the highest error (MSE {errors})." + note,
            lambda: comparisons.draw_extremes(extremes, config),
            has_spectrograms=True,
        )
    if is_mel:
        names = {original.number: comparisons.window_name(original) for original, _ in pairs}
        yield Picture(
            "waveforms.png",
            "Waveforms as heard",
            "The recording, the recording's own mel spectrogram through the inversion, and the reconstruction through "
            "the same inversion, on one scale: what the second lacks is lost before any model." + note,
            lambda: comparisons.draw_audio(data.audio, names, data.rate),
            has_spectrograms=True,
        )


def _source_note(data: VariantData) -> str:
    if not data.is_baseline:
        return f" Each is decoded from {'its codes' if 'codes' in data.tables else 'the posterior mean'}."
    if not data.latents.shape[1]:
        return " Each reconstruction is the mean of the training windows."
    return f" Each is made of {data.latents.shape[1]} principal components of the training windows."


def _training_figures(data: VariantData) -> Iterator[Picture | Animation]:
    seeds, config, note = len(data.histories), data.representation, _seed_note(data)
    lines = f" One line for each of {seeds} seeds." if seeds > 1 else ""
    samples = len({w.number for w in data.snapshots if w.kind == "sample"})
    yield Picture(
        "training_curves.png",
        "Training curves",
        "Terms of the objective for each epoch, dashed on training and solid on validation windows; the validation "
        "objective is taken at the final weight of the KL term throughout." + lines,
        lambda: curves.draw_training_curves(data.histories),
    )
    yield Picture(
        "progress.png",
        "Progress over the epochs",
        "One fixed window and its reconstruction as training goes on"
        + ("; below it, what one fixed latent drawn from the prior is decoded to." if samples else ".")
        + note,
        lambda: window_rows.draw_progress(data.snapshots, config),
        has_spectrograms=True,
    )
    yield Animation(
        "progress.gif",
        "One window over the epochs",
        "A fixed window beside its reconstruction after each kept epoch." + note,
        lambda path, dpi: training_progress.write_reconstruction_gif(data.snapshots, config, path, dpi),
    )
    if samples:
        number = min(samples, training_progress.SAMPLES)
        yield Animation(
            "generation.gif",
            "Generation over the epochs",
            f"What {number} fixed latents drawn from the prior are decoded to after each kept epoch." + note,
            lambda path, dpi: training_progress.write_samples_gif(data.snapshots, config, path, dpi),
        )


def _latent_pictures(data: VariantData) -> Iterator[Picture]:
    metrics, note = data.metrics, _seed_note(data)
    if data.latents.shape[1]:
        probe = ""
        if metrics.get("probe_accuracy") is not None and metrics.get("chance") is not None:
            probe = (
                f" A linear probe names the label of {100 * metrics['probe_accuracy']:.0f} % of the windows; "
                f"chance is {100 * metrics['chance']:.0f} %."
            )
        latents = "Coordinates" if data.is_baseline else "Codes" if "codes" in data.tables else "Posterior means"
        yield Picture(
            "latent_pca.png",
            "Latent space",
            f"{latents} of {len(data.latents)} test windows, projected on the two directions in which they vary most "
            "(PCA fitted on these windows)." + probe + note,
            lambda: latent_space.draw_latent_pca(data.latents, data.labels),
        )
        if len(set(data.labels)) > 1:
            yield Picture(
                "genre_distances.png",
                "Distances between labels",
                "How far apart the labels' mean latents lie, each dimension divided by its standard deviation: 1 is "
                "one standard deviation in every dimension. In the order of the dendrogram (average linkage)." + note,
                lambda: latent_space.draw_label_distances(data.latents, data.labels),
            )
    if "dimensions" in data.tables and len(data.tables["dimensions"]):
        yield Picture(
            "latent_use.png",
            "Use of the latent",
            "KL of each latent dimension, mean over the test windows, in order; a dimension is active when its "
            "posterior mean has a variance above 0.01 over the windows." + note,
            lambda: latent_usage.draw_dimension_kl(data.tables["dimensions"]),
        )
    elif "codes" in data.tables and len(data.tables["codes"]):
        yield Picture(
            "latent_use.png",
            "Use of the codebook",
            "How often each code is chosen for the test windows, in order. The perplexity is the number of codes that, "
            "chosen equally often, would be as varied." + note,
            lambda: latent_usage.draw_code_counts(data.tables["codes"], metrics.get("perplexity")),
        )


def _decoder_pictures(data: VariantData) -> Iterator[Picture]:
    config, note = data.representation, _seed_note(data)
    steps = data.select("linear") + data.select("slerp")
    perturbed, samples, transfers = data.select("perturbed"), data.select("sample"), data.select("transfer")
    if steps:
        yield Picture(
            "walks.png",
            "Walks through latent space",
            "From the latent of one test window to that of another, on a straight line and along an arc (slerp), with "
            "the share of the way above; both ends are reconstructions."
            + (" The label changes half-way." if transfers else "")
            + note,
            lambda: window_rows.draw_interpolations(steps, config),
            has_spectrograms=True,
        )
    if perturbed:
        yield Picture(
            "perturbations.png",
            "Perturbed latents",
            "A test window whose latent was moved at random, ever further, in multiples of the spread of the latents "
            "over the data." + note,
            lambda: window_rows.draw_perturbations(perturbed, config),
            has_spectrograms=True,
        )
    if samples:
        given = ", under the label above each" if any(w.label for w in samples) else ""
        yield Picture(
            "samples.png",
            "Samples of the prior",
            f"Windows decoded from latents drawn from the prior{given}: what the model makes up by itself." + note,
            lambda: window_rows.draw_samples(samples, config),
            has_spectrograms=True,
        )
    if transfers:
        yield Picture(
            "transfer.png",
            "Transfer to another label",
            "Test windows, encoded under their own label and decoded under that of the title." + note,
            lambda: window_rows.draw_transfers([original for original, _ in data.pairs], transfers, config),
            has_spectrograms=True,
        )
