"""What the single figures say: units on their axes, values where they belong."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.figures import curves, latents, style, windows
from pipeline.figures.inputs import Inputs, load
from tests import artefacts


@pytest.fixture(scope="module", params=["mel_fake", "wave_fake"])
def inputs(request: pytest.FixtureRequest, data: Path) -> Inputs:
    return load(request.param, data / "models", data / "evaluation")


def texts(picture: Figure) -> set[str]:
    """Axis labels and titles of a figure, those of colour bars too."""
    return {text for ax in picture.axes for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left"))}


def test_reconstructions_carry_hertz_seconds_and_decibels(inputs: Inputs) -> None:
    is_mel = inputs.representation.kind == "mel"
    with style.look():
        draw = windows.mel_reconstructions if is_mel else windows.waveform_reconstructions
        found = texts(draw(inputs.pairs, inputs.representation))
    assert {"Hz", "seconds", "reconstruction − original"} <= found
    assert ({windows.LEVEL_BAR, "dB too quiet (−) or too loud (+)"} if is_mel else {windows.FULL_SCALE_BAR}) <= found


def test_mel_frequencies_lie_where_their_ticks_say(data: Path) -> None:
    inputs = load("mel_fake", data / "models", data / "evaluation")
    with style.look():
        ax = windows.mel_reconstructions(inputs.pairs, inputs.representation).axes[0]
    mesh = ax.collections[0]
    levels = np.asarray(mesh.get_array()).reshape(128, -1).mean(axis=1)
    edges = mesh.get_coordinates()[:, 0, 1]
    loudest = int(levels.argmax())
    assert edges[loudest] - 30 < 110 < edges[loudest + 1] + 30  # the fixture's bass note
    assert edges[-1] == pytest.approx(22050 / 2, rel=0.02)
    assert ax.get_xlim()[1] == pytest.approx(1.0, abs=0.05)


def test_progress_starts_with_the_original_and_ends_with_the_last_epoch(inputs: Inputs) -> None:
    with style.look():
        titles = [ax.get_title(loc="left") for ax in windows.progress(inputs.snapshots, inputs.representation).axes]
    assert titles[0] == "original"
    assert {"epoch 1", "epoch 6", "sample, epoch 6"} <= set(titles)


def test_progress_of_many_epochs_keeps_first_and_last(data: Path, tmp_path: Path) -> None:
    inputs = load("wave_fake", data / "models", data / "evaluation")
    original = inputs.snapshots[0]
    many = [windows.Window("reconstruction", original.number, original.array, epoch) for epoch in range(1, 41)]
    with style.look():
        picture = windows.progress([original, *many], inputs.representation)
    titles = [title for ax in picture.axes if (title := ax.get_title(loc="left"))]
    assert len(titles) == windows.COLUMNS and titles[1] == "epoch 1" and titles[-1] == "epoch 40"


def test_training_curves_draw_a_line_per_seed_and_mark_the_lowest() -> None:
    histories = {seed: artefacts.history(12, seed) for seed in (0, 1, 2)}
    with style.look():
        axes = curves.training_curves(histories).axes
    assert len(axes) == 6
    assert len(axes[4].lines) == 3  # validation MSE
    dots = [line for line in axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    marked = [(float(dot.get_xdata()[0]), float(dot.get_ydata()[0])) for dot in dots]
    lowest = [h.loc[h["valid_loss"].idxmin()] for h in histories.values()]
    assert marked == [(row["epoch"], row["valid_loss"]) for row in lowest]


def test_terms_that_a_variant_has_get_a_panel_and_others_none() -> None:
    history = artefacts.history(5, 0).drop(columns=["active_units"])
    history["train_spectral"] = history["valid_spectral"] = 0.1
    history["train_distance"] = history["valid_distance"] = 0.2
    history["valid_kl_z1"], history["valid_kl_z2"] = 3.0, 4.0
    history["train_range"] = history["valid_range"] = 0.0  # weighed by nothing, or never outside
    history["perplexity"], history["variance_ratio"] = 17.0, 0.8
    with style.look():
        axes = [ax for ax in curves.training_curves({0: history}).axes if ax.axison]
    titles = [ax.get_title(loc="left") for ax in axes]
    assert {"Spectral", "Reconstruction distance", "KL by level, validation", "Perplexity"} <= set(titles)
    assert not {"Range", "Active units", "Variance ratio"} & set(titles)
    assert all(len(line.get_xdata()) for ax in axes[1:] for line in ax.lines) and all(ax.lines for ax in axes)
    by_level = axes[titles.index("KL by level, validation")]
    assert [text.get_text() for text in by_level.get_legend().get_texts()] == ["z1", "z2"]


def test_one_epoch_is_drawn_as_a_dot() -> None:
    with style.look():
        axes = curves.training_curves({0: artefacts.history(1, 0)}).axes
    assert all(line.get_marker() in (".", "o") for ax in axes for line in ax.lines)


def test_pca_finds_the_direction_that_separates_and_names_its_share() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 8)) * 0.1
    values[20:, 3] += 5
    points, shares = latents.project(values)
    assert shares[0] > 0.95
    assert points[:20, 0].max() < points[20:, 0].min() or points[:20, 0].min() > points[20:, 0].max()
    with style.look():
        ax = latents.latent_pca(values, ["a"] * 20 + ["b"] * 20).axes[0]
    assert f"{shares[0]:.0%} of the variance" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


@pytest.mark.parametrize("values", [np.zeros((9, 4)), np.ones((1, 4)), np.arange(5.0)[:, None], np.zeros((9, 0))])
def test_pca_of_degenerate_latents_is_drawn_without_a_second_direction(values: np.ndarray) -> None:
    points, shares = latents.project(values)
    assert points.shape == (len(values), 2) and np.isfinite(points).all() and shares[1] == 0
    with style.look():
        latents.latent_pca(values, ["a"] * len(values))


def test_labels_from_file_names_are_shown_as_they_are(data: Path) -> None:
    inputs = load("wave_fake", data / "models", data / "evaluation")
    with style.look():
        legend = latents.latent_pca(inputs.latents, inputs.labels).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [r"\$cash\$", "<b>", "_hidden", "waltz"]


def test_twelve_labels_differ_in_marker_and_more_in_marker_and_colour() -> None:
    assert len({marker for _, marker in style.label_styles(map(str, range(12))).values()}) == 12
    assert len(set(style.label_styles(f"{i:03}" for i in range(84)).values())) == 84


def test_a_silent_sample_looks_dark(data: Path) -> None:
    inputs = load("wave_fake", data / "models", data / "evaluation")
    silent = windows.Window("sample", 0, np.zeros(3000, np.float32))
    with style.look():
        picture = windows.samples([silent], inputs.representation)
    levels = np.asarray(picture.axes[1].collections[0].get_array())
    assert levels.max() < -90
