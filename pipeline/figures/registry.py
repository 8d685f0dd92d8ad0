"""The list of all pictures and animations of a variant, with their captions.

To add a picture, write a function that returns a matplotlib figure (`grid.FigureGrid` helps), and yield it in one of
the generators below, if the variant has its data:

    if samples:
        caption = "The loudest frame of each sample of the prior."
        yield picture("peaks.png", "Peaks of the samples", caption, lambda: draw_peaks(samples, config))

Stage figures then writes it, and the report shows it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig
from pipeline.figures import style, training_progress
from pipeline.figures.comparisons import draw_audio, draw_reconstructions, window_name
from pipeline.figures.curves import draw_training_curves
from pipeline.figures.latent_space import draw_code_counts, draw_dimension_kl, draw_label_distances, draw_latent_pca
from pipeline.figures.variant_data import VariantData
from pipeline.figures.window_rows import draw_interpolations, draw_perturbations, draw_samples, draw_transfers


@dataclass(frozen=True)
class Entry:
    """A file in figures.json. Only audio has an example, a role and a label."""

    file: str  # path below the folder of figures.json
    title: str
    caption: str
    kind: str  # image, animation or audio
    example: int | None = None  # index of the example, interpolation or sample
    role: str | None = None  # original, ceiling, reconstruction, sample, linear, slerp, perturbed or transfer
    label: str | None = None  # the window's label, or the label given to a sample or transfer


@dataclass(frozen=True)
class Drawing:
    """A PNG or GIF file, and the function that writes it at a resolution in dots per inch."""

    file: str
    title: str
    caption: str
    write: Callable[[Path, int], None]


def picture(file: str, title: str, caption: str, draw: Callable[[], Figure]) -> Drawing:
    """A PNG file of the figure that `draw` returns."""
    return Drawing(file, title, caption, lambda path, dpi: style.save(draw(), path, dpi))


def variant_figures(data: VariantData) -> Iterator[Drawing]:
    """All pictures and animations of a variant, in the order of the report."""
    yield from _reconstructions(data)
    if not data.is_baseline:
        yield from _training(data)
    yield from _latent_space(data)
    yield from _decoder(data)


def _seed_note(data: VariantData) -> str:
    seeds = len(data.histories)
    return f" Shown is seed {data.seed}, one of {seeds}." if seeds > 1 else ""


def _source_note(data: VariantData) -> str:
    if not data.is_baseline:
        return f" Each is decoded from {'its codes' if 'codes' in data.tables else 'the posterior mean'}."
    if not data.latents.shape[1]:
        return " Each reconstruction is the mean of the training windows."
    return f" Each is a sum of {data.latents.shape[1]} principal components of the training windows."


def _reconstructions(data: VariantData) -> Iterator[Drawing]:
    config, pairs, extremes, note = data.representation, data.pairs, data.extremes, _seed_note(data)
    is_mel = isinstance(config, MelConfig)
    if is_mel:
        caption = (
            "Log-mel spectrograms of test windows, their reconstructions, and the absolute difference between the two."
        )
    else:
        caption = (
            "Test windows, their reconstructions and the difference between the two, as waveforms and spectrograms; "
            "right, both waveforms where the original is loudest."
        )
    caption += _source_note(data) + note
    yield picture("reconstructions.png", "Reconstructions", caption, lambda: draw_reconstructions(pairs, config))
    if extremes:
        errors = " to ".join(f"{window.scale:#.3g}" for window in (extremes[0][0], extremes[-1][0]))
        caption = f"The test windows with the lowest, the median and the highest error (MSE {errors})." + note
        title = "Best, median and worst"
        yield picture("extremes.png", title, caption, lambda: draw_reconstructions(extremes, config, True))
    if is_mel:
        names = {original.index: window_name(original) for original, _ in pairs}
        caption = (
            "The recording, its mel spectrogram converted to audio, and the reconstruction converted to audio, on one "
            "scale. The second shows the loss without any model." + note
        )
        title = "Waveforms as heard"
        yield picture("waveforms.png", title, caption, lambda: draw_audio(data.audio, names, data.rate))


def _training(data: VariantData) -> Iterator[Drawing]:
    seeds, config, snapshots, note = len(data.histories), data.representation, data.snapshots, _seed_note(data)
    samples = len({w.index for w in snapshots if w.kind == "sample"})
    caption = (
        "Terms of the objective for each epoch, dashed on training and solid on validation windows; the validation "
        "objective always has the final weight of the KL term."
    )
    caption += f" One line for each of {seeds} seeds." if seeds > 1 else ""
    yield picture("training_curves.png", "Training curves", caption, lambda: draw_training_curves(data.histories))
    yield Drawing(
        "progress.gif",
        "Progress over the epochs",
        "Fixed windows, each above its reconstruction, after each kept epoch." + note,
        lambda path, dpi: training_progress.write_reconstruction_gif(snapshots, config, path, dpi),
    )
    if samples:
        number = min(samples, training_progress.SAMPLES)
        yield Drawing(
            "generation.gif",
            "Generation over the epochs",
            f"The decoding of {number} fixed latents from the prior after each kept epoch." + note,
            lambda path, dpi: training_progress.write_samples_gif(snapshots, config, path, dpi),
        )


def _latent_space(data: VariantData) -> Iterator[Drawing]:
    metrics, latents, labels, note = data.metrics, data.latents, data.labels, _seed_note(data)
    dimensions, codes = data.tables.get("dimensions"), data.tables.get("codes")
    if latents.shape[1]:
        name = "Coordinates" if data.is_baseline else "Posterior means" if codes is None else "Codes"
        caption = (
            f"{name} of {len(latents)} test windows, projected on the two directions in which they vary most "
            "(PCA fitted on these windows)."
        )
        if metrics.get("probe_accuracy") is not None and metrics.get("chance") is not None:
            accuracy, chance = 100 * metrics["probe_accuracy"], 100 * metrics["chance"]
            caption += f" A linear probe names the label of {accuracy:.0f} % of the windows; chance is {chance:.0f} %."
        yield picture("latent_pca.png", "Latent space", caption + note, lambda: draw_latent_pca(latents, labels))
        if len(set(labels)) > 1:
            caption = (
                "How far apart the labels' mean latents lie, each dimension divided by its standard deviation: 1 is "
                "one standard deviation in every dimension. In the order of the dendrogram (average linkage)." + note
            )
            title = "Distances between labels"
            yield picture("genre_distances.png", title, caption, lambda: draw_label_distances(latents, labels))
    if dimensions is not None and len(dimensions):
        caption = (
            "KL of each latent dimension, mean over the test windows, in order; a dimension is active when its "
            "posterior mean has a variance above 0.01 over the windows." + note
        )
        yield picture("latent_use.png", "Use of the latent", caption, lambda: draw_dimension_kl(dimensions))
    elif codes is not None and len(codes):
        caption = (
            "How often each code is chosen for the test windows, in order. The perplexity is the number of codes that, "
            "chosen equally often, would be as varied." + note
        )
        perplexity = metrics.get("perplexity")
        yield picture("latent_use.png", "Use of the codebook", caption, lambda: draw_code_counts(codes, perplexity))


def _decoder(data: VariantData) -> Iterator[Drawing]:
    config, note = data.representation, _seed_note(data)
    steps = data.select("linear") + data.select("slerp")
    perturbed, samples, transfers = data.select("perturbed"), data.select("sample"), data.select("transfer")
    if steps:
        caption = (
            "From the latent of one test window to that of another, on a straight line and along an arc (slerp), with "
            "the share of the way above; both ends are reconstructions."
        )
        caption += (" The label changes half-way." if transfers else "") + note
        title = "Walks through latent space"
        yield picture("walks.png", title, caption, lambda: draw_interpolations(steps, config))
    if perturbed:
        caption = (
            "A test window whose latent is moved in a random direction by growing distances, in standard deviations of "
            "the latents over the data." + note
        )
        title = "Perturbed latents"
        yield picture("perturbations.png", title, caption, lambda: draw_perturbations(perturbed, config))
    if samples:
        given = ", with the label above each" if any(w.label for w in samples) else ""
        caption = f"Windows decoded from latents drawn from the prior{given}: generated without an input." + note
        yield picture("samples.png", "Samples of the prior", caption, lambda: draw_samples(samples, config))
    if transfers:
        originals = [original for original, _ in data.pairs]
        caption = "Test windows, encoded with their own label and decoded with the label in the title." + note
        title = "Transfer to another label"
        yield picture("transfer.png", title, caption, lambda: draw_transfers(originals, transfers, config))
