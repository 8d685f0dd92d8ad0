"""Single pictures: units on the axes, values at the right places, no overlapping texts."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import comparisons, style, window_plots, window_rows
from pipeline.figures.grid import FigureGrid
from pipeline.figures.variant_data import Representation, VariantData, Window, read_variant_data
from tests import artefacts

LONG = "a label that somebody gave a whole sentence as its $name$"


@pytest.fixture(scope="module", params=["mel_fake", "wave_fake"])
def variant_data(request: pytest.FixtureRequest, data: Path) -> VariantData:
    return read_variant_data(request.param, data)


@pytest.fixture(scope="module")
def mel_data(data: Path) -> VariantData:
    return read_variant_data("mel_fake", data)


def axis_texts(figure: Figure) -> set[str]:
    """Axis labels and titles of a figure, with colour bars."""
    return {text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left"))}


def titles(figure: Figure) -> list[str]:
    """Titles of the axes, in order."""
    return [title for ax in figure.axes if (title := ax.get_title(loc="left"))]


def overlapping_texts(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts that overlap each other, or the edge of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [*figure.texts]
    for ax in figure.axes:
        texts += [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]  # others are not drawn
            texts += [label for tick in ticks for label in (tick.label1, tick.label2)]
        texts += ax.get_legend().get_texts() if ax.get_legend() else []
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_visible() and t.get_text().strip()]
    inside = figure.bbox.padded(1)
    overlaps = [(text, "edge") for text, box in boxes if not (inside.contains(*box.min) and inside.contains(*box.max))]
    for i, (text, box) in enumerate(boxes):
        overlaps += [(text, earlier) for earlier, area in boxes[:i] if box.padded(-1).overlaps(area)]
    return overlaps


@pytest.mark.parametrize("which", ["pairs", "extremes"])
def test_comparisons_have_hertz_seconds_and_decibels(variant_data: VariantData, which: str) -> None:
    pairs = getattr(variant_data, which)
    figure = comparisons.draw_reconstructions(pairs, variant_data.representation, which == "extremes")
    assert overlapping_texts(figure) == []
    texts = axis_texts(figure)
    assert {"Hz", "seconds", comparisons.DIFFERENCE_LABEL} <= texts
    if variant_data.representation.kind == "mel":
        assert window_plots.PEAK_DB_LABEL in texts
    else:
        assert {window_plots.FULL_SCALE_LABEL, "amplitude"} <= texts
    if which == "extremes":
        assert [text.split(":")[0] for text in titles(figure) if ":" in text] == ["best", "median", "worst"]


def test_differences_are_absolute_and_in_decibels() -> None:
    original = Window("original", 0, np.full((128, 44), 0.5, np.float32))
    reconstruction = Window("reconstruction", 0, original.array.copy())
    reconstruction.array[:, 20:] -= 0.125  # 10 dB too quiet
    reconstruction.array[:, 30:] += 0.25  # 10 dB too loud
    image = comparisons.draw_reconstructions([(original, reconstruction)], MelConfig()).axes[2].images[0]
    difference = np.asarray(image.get_array())
    assert (difference[:, :20] == 0).all() and difference[:, 20:] == pytest.approx(10)
    assert image.get_clim() == (0, window_plots.MAX_DIFFERENCE_DB)


def test_colour_maps_are_monotonic_in_grey() -> None:
    for name, direction in ((style.DB_COLORS, 1), (style.AMOUNT_COLORS, -1)):
        colors = colormaps[name](np.linspace(0, 1, 64))[:, :3]
        grey = colors @ [0.299, 0.587, 0.114]
        assert (direction * np.diff(grey) > 0).all(), name


def test_waveforms_of_an_example_share_one_scale(mel_data: VariantData) -> None:
    figure = comparisons.draw_audio(mel_data.audio, {}, mel_data.rate)
    axes = figure.axes
    assert len(axes) == 3 * len(mel_data.audio)
    for row in range(len(mel_data.audio)):
        assert len({ax.get_ylim() for ax in axes[3 * row : 3 * row + 3]}) == 1
    assert axes[0].get_ylim()[1] >= np.abs(mel_data.audio[0].original).max()
    assert {"amplitude", "seconds", "through the inversion alone", "reconstruction"} <= axis_texts(figure)


@pytest.mark.parametrize("bands", [32, 256])
def test_mel_positions_agree_with_librosa(bands: int) -> None:
    config = MelConfig(sample_rate=22050, n_fft=4096, bands=bands)
    centres = librosa.mel_frequencies(bands + 2, fmin=0, fmax=config.sample_rate / 2)[1:-1]
    positions = [window_plots.mel_position(float(hertz), config) for hertz in centres]
    assert positions == pytest.approx(np.arange(bands) + 0.5)


def test_mel_ticks_are_at_their_frequencies(mel_data: VariantData) -> None:
    config = mel_data.representation
    assert isinstance(config, MelConfig)
    ax = comparisons.draw_reconstructions(mel_data.pairs, config).axes[0]
    loudest_band = np.asarray(ax.images[0].get_array()).mean(axis=1).argmax()
    assert loudest_band <= window_plots.mel_position(110, config) <= loudest_band + 1  # the bass note
    ticks = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert ticks["1k"] == pytest.approx(window_plots.mel_position(1000, config))
    assert ax.get_xlim()[1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("rate", "hertz"), [(3000, 440.0), (22050, 60.0), (22050, 5000.0)])
def test_full_scale_sine_has_0_db_at_its_frequency(rate: int, hertz: float) -> None:
    db = window_plots.spectrum_db(
        np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate), WaveformConfig(sample_rate=rate)
    )
    middle = db[:, db.shape[1] // 2]
    assert middle.max() == pytest.approx(0, abs=1.5)  # between two bins
    lowest, row = window_plots.MIN_HERTZ, middle.argmax() + 0.5
    assert lowest * (rate / 2 / lowest) ** (row / window_plots.SPECTROGRAM_ROWS) == pytest.approx(hertz, rel=0.1)


def test_silent_sample_is_dark() -> None:
    silent = Window("sample", 0, np.zeros(3000, np.float32))
    figure = window_rows.draw_samples([silent], WaveformConfig())
    assert np.asarray(figure.axes[1].images[0].get_array()).max() <= -90


def test_outline_of_a_long_waveform_has_its_extremes() -> None:
    array = np.random.default_rng(0).standard_normal(30 * 22050).astype(np.float32)
    seconds, values = window_plots.outline(array, 22050)
    assert len(values) == 2 * window_plots.OUTLINE_COLUMNS
    assert (values.min(), values.max()) == (array.min(), array.max())
    assert seconds.min() >= 0 and 29.9 < seconds.max() <= 30


def test_interpolations_have_a_row_for_each_mode(variant_data: VariantData) -> None:
    steps = variant_data.select("linear") + variant_data.select("slerp")
    figure = window_rows.draw_interpolations(steps, variant_data.representation)
    assert overlapping_texts(figure) == []
    assert titles(figure) == 2 * [f"{percent} %" for percent in (0, 25, 50, 75, 100)]
    assert [text.get_text() for text in figure.texts] == ["walk 1, linear", "walk 1, slerp"]


def test_interpolation_between_labels_names_them() -> None:
    array = np.zeros((8, 8), np.float32)
    steps = [Window("slerp", 0, array, step=i, scale=i / 2, label=text) for i, text in enumerate(("a", "", LONG))]
    assert window_rows.interpolation_name(steps) == f"a → {LONG}"
    figure = window_rows.draw_interpolations(steps, MelConfig(bands=8, n_fft=64, hop_length=32))
    assert overlapping_texts(figure) == []


def test_perturbations_show_their_scale(variant_data: VariantData) -> None:
    perturbed = variant_data.select("perturbed")
    cells = titles(window_rows.draw_perturbations(perturbed, variant_data.representation))
    assert cells == ["reconstruction", "0.25 × std", "0.5 × std", "1 × std"]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
@pytest.mark.parametrize("labels", [1, 4, 20])
def test_many_long_labels_of_transfers_and_samples_do_not_overlap(kind: str, labels: int) -> None:
    config = MelConfig(bands=16, n_fft=256, hop_length=64) if kind == "mel" else WaveformConfig()
    array = np.full((16, 20) if kind == "mel" else (600,), 0.2, np.float32)
    names = [f"{i} {LONG}" for i in range(labels)]
    originals = [Window("original", i, array, label=names[0], track_id=LONG * 3) for i in range(3)]
    transfers = [Window("transfer", 0, array, step=i, label=name) for i, name in enumerate(names)]
    transfers += [Window("transfer", i, array, label=names[-1]) for i in (1, 2)]
    samples = [Window("sample", i, array, label=name) for i, name in enumerate(names)]
    figure = window_rows.draw_transfers(originals, transfers, config)
    assert overlapping_texts(figure) == [] == overlapping_texts(window_rows.draw_samples(samples, config))
    assert sum(bool(ax.images) for ax in figure.axes) == 1 + labels + 2 * 2
    assert sum(title.startswith("as ") for title in titles(figure)) == labels + 2


def test_samples_show_the_label_that_was_given(variant_data: VariantData) -> None:
    cells = titles(window_rows.draw_samples(variant_data.select("sample"), variant_data.representation))
    if variant_data.representation.kind == "waveform":  # conditional
        assert cells == [r"\$cash\$", "_hidden", "<b>", "waltz"]
    else:
        assert cells == [f"sample {i}" for i in range(1, 5)]


def test_text_is_cut_to_a_width() -> None:
    assert style.fit_width("short", 2, 9) == "short"
    cut = style.fit_width(LONG, 1.2, 9)
    assert "…" in cut and style.text_width(cut, 9) <= 1.25 and cut.startswith("a") and cut.endswith("e\\$")


def test_grid_is_as_large_as_its_parts() -> None:
    margins = {"left": 0.5, "right": 0.25, "top": 0.25, "bottom": 0.5}
    grid = FigureGrid([2.0, 1.0], [1.0, 0.5], **margins, column_gaps=0.25, row_gaps=0.5)
    cell = grid.axes(1, 1).get_position()
    spanning = grid.axes(0, 0, rows=2).get_position()
    assert tuple(grid.figure.get_size_inches()) == (4.0, 2.75)
    assert (4 * cell.x0, 2.75 * cell.y0, 4 * cell.width, 2.75 * cell.height) == pytest.approx((2.75, 0.5, 1, 0.5))
    assert (4 * spanning.width, 2.75 * spanning.height) == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_long_window_of_high_resolution_is_drawn(kind: str) -> None:
    config: Representation = MelConfig(bands=256, n_fft=4096) if kind == "mel" else WaveformConfig(sample_rate=22050)
    array, _ = artefacts.to_array(artefacts.music(0, 22050, 30.0), config)
    pair = Window("original", 0, array, track_id=LONG), Window("reconstruction", 0, artefacts.blur(array, 0.3))
    figure = comparisons.draw_reconstructions([pair], config)
    assert overlapping_texts(figure) == []
    assert any(tick.get_text() == "20" for ax in figure.axes for tick in ax.get_xticklabels())
