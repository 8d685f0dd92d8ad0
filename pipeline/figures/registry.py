"""Which pictures and animations a variant has, and what is said of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig
from pipeline.figures import comparisons, curves, latent_space, latent_usage, training_progress, window_rows
from pipeline.figures.variant_data import Inputs


@dataclass(frozen=True)
class Picture:
    """A file of kind image and how it is drawn."""

    file: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    has_spectra: bool = False  # of windows, and no colours but those and lines in two or three


@dataclass(frozen=True)
class Animation:
    """A file of kind animation and how it is written, at a resolution in dots per inch."""

    file: str
    title: str
    caption: str
    write: Callable[[Path, int], int]


def of(inputs: Inputs) -> Iterator[Picture | Animation]:
    """All pictures of a variant, in the order of the report; what it has no data for is left out."""
    yield from _of_windows(inputs)
    if not inputs.baseline:
        yield from _of_training(inputs)
    yield from _of_latents(inputs)
    yield from _of_decoder(inputs)
    sizes = inputs.tables.get("sizes")
    if sizes is not None and len(sizes) >= 3:
        caption = "Error of the test windows with so many principal components, with its 95 % interval over recordings."
        mean = float(inputs.metrics["mse_mean"])
        yield Picture(
            "components.png", "Error by number of components", caption, lambda: curves.component_curve(sizes, mean)
        )


def _shown(inputs: Inputs) -> str:
    seeds = len(inputs.histories)
    return f" Shown is seed {inputs.seed}, one of {seeds}." if seeds > 1 else ""


def _of_windows(inputs: Inputs) -> Iterator[Picture]:
    """Reconstructions of test windows, seen and as waveforms."""
    config, pairs, worst = inputs.representation, inputs.pairs, inputs.extremes
    is_mel = isinstance(config, MelConfig)
    what = (
        "Log-mel spectrograms of test windows, their reconstructions, and the absolute difference between the two."
        if is_mel
        else "Test windows, their reconstructions and the difference between the two, as waveforms and spectrograms; "
        "right, both waveforms where the original is loudest."
    )
    yield Picture(
        "reconstructions.png",
        "Reconstructions",
        what + _from(inputs) + _shown(inputs),
        lambda: comparisons.reconstructions(pairs, config),
        True,
    )
    if worst:
        errors = " to ".join(f"{w.scale:#.3g}" for w in (worst[0][0], worst[-1][0]))
        caption = f"The test windows with the lowest, the median and the highest error (MSE {errors})." + _shown(inputs)
        yield Picture(
            "extremes.png", "Best, median and worst", caption, lambda: comparisons.extremes(worst, config), True
        )
    if is_mel:
        names = {original.number: comparisons.name(original) for original, _ in pairs}
        caption = (
            "The recording, the recording's own mel spectrogram through the inversion, and the reconstruction through "
            "the same inversion, on one scale: what the second lacks is lost before any model." + _shown(inputs)
        )
        yield Picture(
            "waveforms.png",
            "Waveforms as heard",
            caption,
            lambda: comparisons.waveforms(inputs.heard, names, inputs.rate),
            True,
        )


def _from(inputs: Inputs) -> str:
    if not inputs.baseline:
        return f" Each is decoded from {'its codes' if 'codes' in inputs.tables else 'the posterior mean'}."
    if not inputs.latents.shape[1]:
        return " Each reconstruction is the mean of the training windows."
    return f" Each is made of {inputs.latents.shape[1]} principal components of the training windows."


def _of_training(inputs: Inputs) -> Iterator[Picture | Animation]:
    """How it was trained."""
    seeds, config, shown = len(inputs.histories), inputs.representation, _shown(inputs)
    lines = f" One line for each of {seeds} seeds." if seeds > 1 else ""
    samples = len({w.number for w in inputs.snapshots if w.kind == "sample"})
    yield Picture(
        "training_curves.png",
        "Training curves",
        "Terms of the objective for each epoch, dashed on training and solid on validation windows; the validation "
        "objective is taken at the final weight of the KL term throughout." + lines,
        lambda: curves.training_curves(inputs.histories),
    )
    yield Picture(
        "progress.png",
        "Progress over the epochs",
        "One fixed window and its reconstruction as training goes on"
        + ("; below it, what one fixed latent drawn from the prior is decoded to." if samples else ".")
        + shown,
        lambda: window_rows.progress(inputs.snapshots, config),
        True,
    )
    yield Animation(
        "progress.gif",
        "One window over the epochs",
        "A fixed window beside its reconstruction after each kept epoch." + shown,
        lambda path, dpi: training_progress.progress(inputs.snapshots, config, path, dpi),
    )
    if samples:
        yield Animation(
            "generation.gif",
            "Generation over the epochs",
            f"What {min(samples, training_progress.SAMPLES)} fixed latents drawn from the prior are decoded to after each "
            "kept epoch." + shown,
            lambda path, dpi: training_progress.generation(inputs.snapshots, config, path, dpi),
        )


def _of_latents(inputs: Inputs) -> Iterator[Picture]:
    """Where the test windows lie in latent space, and what of it is used."""
    metrics, shown = inputs.metrics, _shown(inputs)
    if inputs.latents.shape[1]:
        probe = ""
        if metrics.get("probe_accuracy") is not None and metrics.get("chance") is not None:
            probe = (
                f" A linear probe names the label of {100 * metrics['probe_accuracy']:.0f} % of the windows; "
                f"chance is {100 * metrics['chance']:.0f} %."
            )
        what = "Coordinates" if inputs.baseline else "Codes" if "codes" in inputs.tables else "Posterior means"
        yield Picture(
            "latent_pca.png",
            "Latent space",
            f"{what} of {len(inputs.latents)} test windows, projected on the two directions in which they vary most "
            "(PCA fitted on these windows)." + probe + shown,
            lambda: latent_space.latent_pca(inputs.latents, inputs.labels),
        )
        if len(set(inputs.labels)) > 1:
            yield Picture(
                "genre_distances.png",
                "Distances between labels",
                "How far apart the labels' mean latents lie, each dimension divided by its standard deviation: 1 is "
                "one standard deviation in every dimension. In the order of the dendrogram (average linkage)." + shown,
                lambda: latent_space.label_distances(inputs.latents, inputs.labels),
            )
    if "dimensions" in inputs.tables and len(inputs.tables["dimensions"]):
        caption = (
            "KL of each latent dimension, mean over the test windows, in order; a dimension is active when its "
            "posterior mean has a variance above 0.01 over the windows." + shown
        )
        yield Picture(
            "latent_use.png", "Use of the latent", caption, lambda: latent_usage.dimensions(inputs.tables["dimensions"])
        )
    elif "codes" in inputs.tables and len(inputs.tables["codes"]):
        perplexity = metrics.get("perplexity")
        caption = (
            "How often each code is chosen for the test windows, in order. The perplexity is the number of codes that, "
            "chosen equally often, would be as varied." + shown
        )
        yield Picture(
            "latent_use.png",
            "Use of the codebook",
            caption,
            lambda: latent_usage.codes(inputs.tables["codes"], perplexity),
        )


def _of_decoder(inputs: Inputs) -> Iterator[Picture]:
    """What is decoded from latents that are no window's own."""
    config, shown = inputs.representation, _shown(inputs)
    steps = inputs.of("linear") + inputs.of("slerp")
    perturbed, drawn, moved = inputs.of("perturbed"), inputs.of("sample"), inputs.of("transfer")
    if steps:
        caption = (
            "From the latent of one test window to that of another, on a straight line and along an arc (slerp), with "
            "the share of the way above; both ends are reconstructions."
            + (" The label changes half-way." if moved else "")
            + shown
        )
        yield Picture(
            "walks.png", "Walks through latent space", caption, lambda: window_rows.walks(steps, config), True
        )
    if perturbed:
        caption = (
            "A test window whose latent was moved at random, ever further, in multiples of the spread of the latents "
            "over the data." + shown
        )
        yield Picture(
            "perturbations.png",
            "Perturbed latents",
            caption,
            lambda: window_rows.perturbations(perturbed, config),
            True,
        )
    if drawn:
        given = ", under the label above each" if any(w.label for w in drawn) else ""
        caption = (
            f"Windows decoded from latents drawn from the prior{given}: what the model makes up by itself." + shown
        )
        yield Picture("samples.png", "Samples of the prior", caption, lambda: window_rows.samples(drawn, config), True)
    if moved:
        caption = "Test windows, encoded under their own label and decoded under that of the title." + shown
        originals = [original for original, _ in inputs.pairs]
        yield Picture(
            "transfer.png",
            "Transfer to another label",
            caption,
            lambda: window_rows.transfers(originals, moved, config),
            True,
        )
