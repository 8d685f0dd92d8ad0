"""What the single figures say: units on their axes, values where they belong."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import comparisons, style, window_plots, window_rows
from pipeline.figures.grid import Sheet
from pipeline.figures.variant_data import Inputs, Window, load
from tests import artefacts

LONG = "a label that somebody gave a whole sentence as its $name$"


@pytest.fixture(scope="module", params=["mel_fake", "wave_fake"])
def inputs(request: pytest.FixtureRequest, data: Path) -> Inputs:
    return load(request.param, data / "models", data / "evaluation", data / "reference")


def texts(picture: Figure) -> set[str]:
    """Axis labels and titles of a figure, those of colour bars too."""
    return {text for ax in picture.axes for text in (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left"))}


def titles(picture: Figure) -> list[str]:
    """Titles of its panels, in order."""
    return [title for ax in picture.axes if (title := ax.get_title(loc="left"))]


def overlapping(picture: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of a figure that are drawn over each other, or over its edge."""
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = [*picture.texts]
    for ax in picture.axes:
        found += [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]  # type: ignore[attr-defined]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]  # others are not drawn
            found += [label for tick in ticks for label in (tick.label1, tick.label2)]
        found += ax.get_legend().get_texts() if ax.get_legend() else []
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in found if t.get_visible() and t.get_text().strip()]
    inside = picture.bbox.padded(1)
    wrong = [(text, "the edge") for text, box in boxes if not (inside.contains(*box.min) and inside.contains(*box.max))]
    for i, (text, box) in enumerate(boxes):
        smaller = box.padded(-1)
        wrong += [(text, other) for other, there in boxes[:i] if smaller.overlaps(there)]
    return wrong


@pytest.mark.parametrize("which", ["pairs", "extremes"])
def test_comparisons_carry_hertz_seconds_and_decibels(inputs: Inputs, which: str) -> None:
    draw = comparisons.reconstructions if which == "pairs" else comparisons.extremes
    with style.look():
        picture = draw(getattr(inputs, which), inputs.representation)
        assert overlapping(picture) == []
    found = texts(picture)
    is_mel = inputs.representation.kind == "mel"
    assert {"Hz", "seconds", comparisons.DIFFERENCE_BAR} <= found
    assert comparisons.LEVEL_BAR in found if is_mel else {comparisons.FULL_SCALE_BAR, "amplitude"} <= found
    if which == "extremes":
        assert [text.split(":")[0] for text in titles(picture) if ":" in text] == ["best", "median", "worst"]


def test_differences_are_absolute_and_in_decibels(data: Path) -> None:
    original = Window("original", 0, np.full((128, 44), 0.5, np.float32))
    made = Window("reconstruction", 0, original.array.copy())
    made.array[:, 20:] -= 0.125  # 10 dB too quiet
    made.array[:, 30:] += 0.25  # 10 dB too loud
    config = MelConfig()
    with style.look():
        axes = comparisons.reconstructions([(original, made)], config).axes
    shown = np.asarray(axes[2].images[0].get_array())
    assert (shown[:, :20] == 0).all() and shown[:, 20:] == pytest.approx(10)
    assert axes[2].images[0].get_clim() == (0, window_plots.DIFFERENCE_DB)


def test_colour_maps_are_told_apart_in_grey_too() -> None:
    for name, direction in ((style.LEVELS, 1), (style.AMOUNTS, -1)):
        colors = colormaps[name](np.linspace(0, 1, 64))[:, :3]
        grey = colors @ [0.299, 0.587, 0.114]
        assert (direction * np.diff(grey) > 0).all(), name


def test_waveforms_of_a_mel_share_one_scale(data: Path) -> None:
    inputs = load("mel_fake", data / "models", data / "evaluation", data / "reference")
    with style.look():
        picture = comparisons.waveforms(inputs.heard, {}, inputs.rate)
    axes = picture.axes
    assert len(axes) == 3 * len(inputs.heard)
    for row in range(len(inputs.heard)):
        assert len({ax.get_ylim() for ax in axes[3 * row : 3 * row + 3]}) == 1
    assert axes[0].get_ylim()[1] >= np.abs(inputs.heard[0].original).max()
    assert {"amplitude", "seconds", "through the inversion alone", "reconstruction"} <= texts(picture)


@pytest.mark.parametrize("bands", [32, 128, 256])
def test_bands_lie_where_librosa_has_them(bands: int) -> None:
    config = MelConfig(sample_rate=22050, n_fft=4096, bands=bands)
    centres = librosa.mel_frequencies(bands + 2, fmin=0, fmax=config.sample_rate / 2)[1:-1]
    assert [window_plots.band(float(hertz), config) for hertz in centres] == pytest.approx(np.arange(bands) + 0.5)


def test_mel_frequencies_lie_where_their_ticks_say(data: Path) -> None:
    inputs = load("mel_fake", data / "models", data / "evaluation", data / "reference")
    with style.look():
        ax = comparisons.reconstructions(inputs.pairs, inputs.representation).axes[0]
    levels = np.asarray(ax.images[0].get_array()).mean(axis=1)
    assert isinstance(inputs.representation, MelConfig)
    assert levels.argmax() <= window_plots.band(110, inputs.representation) <= levels.argmax() + 1  # the bass note
    ticks = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert ticks["1k"] == pytest.approx(window_plots.band(1000, inputs.representation))
    assert ax.get_xlim()[1] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("rate", "hertz"), [(3000, 440.0), (22050, 60.0), (22050, 5000.0)])
def test_a_full_scale_sine_reads_0_db_where_its_frequency_lies(rate: int, hertz: float) -> None:
    config = WaveformConfig(sample_rate=rate)
    levels = window_plots.spectrum(np.sin(2 * np.pi * hertz * np.arange(2 * rate) / rate), config)
    middle = levels[:, levels.shape[1] // 2]
    assert middle.max() == pytest.approx(0, abs=1.5)  # between two bins
    found = window_plots.LOWEST * (rate / 2 / window_plots.LOWEST) ** ((middle.argmax() + 0.5) / window_plots.ROWS)
    assert found == pytest.approx(hertz, rel=0.1)


def test_a_silent_sample_looks_dark() -> None:
    silent = Window("sample", 0, np.zeros(3000, np.float32))
    with style.look():
        picture = window_rows.samples([silent], WaveformConfig())
    assert np.asarray(picture.axes[1].images[0].get_array()).max() <= -90


def test_a_long_waveform_keeps_its_extremes() -> None:
    array = np.random.default_rng(0).standard_normal(30 * 22050).astype(np.float32)
    seconds, values = window_plots.outline(array, 22050)
    assert len(values) == 2 * window_plots.COLUMNS
    assert (values.min(), values.max()) == (array.min(), array.max())
    assert seconds.min() >= 0 and 29.9 < seconds.max() <= 30


def test_progress_starts_with_the_original_and_ends_with_the_last_epoch(inputs: Inputs) -> None:
    with style.look():
        picture = window_rows.progress(inputs.snapshots, inputs.representation)
        assert overlapping(picture) == []
    found = titles(picture)
    assert found[0] == "original" and found[1] == "epoch 1" and found[-1] == "epoch 6"
    assert [text.get_text() for text in picture.texts] == ["A window", "A sample of the prior"]


def test_progress_of_many_epochs_keeps_first_and_last(inputs: Inputs) -> None:
    original = next(w for w in inputs.snapshots if w.kind == "original")
    many = [Window("reconstruction", original.number, original.array, epoch) for epoch in range(1, 41)]
    with style.look():
        found = titles(window_rows.progress([original, *many], inputs.representation))
    assert len(found) == window_rows.COLUMNS and found[1] == "epoch 1" and found[-1] == "epoch 40"


def test_walks_have_a_line_for_each_way_with_the_share_above(inputs: Inputs) -> None:
    with style.look():
        picture = window_rows.walks(inputs.of("linear") + inputs.of("slerp"), inputs.representation)
        assert overlapping(picture) == []
    shares = [f"{percent} %" for percent in (0, 25, 50, 75, 100)]
    assert titles(picture) == 2 * shares
    assert [text.get_text() for text in picture.texts] == ["walk 1, linear", "walk 1, slerp"]


def test_a_walk_between_labels_names_them() -> None:
    array = np.zeros((8, 8), np.float32)
    steps = [Window("slerp", 0, array, step=i, scale=i / 2, label=text) for i, text in enumerate(("a", "", LONG))]
    assert window_rows.way(steps) == f"a → {LONG}"
    with style.look():
        assert overlapping(window_rows.walks(steps, MelConfig(bands=8, n_fft=64, hop_length=32))) == []


def test_perturbations_name_their_scale(inputs: Inputs) -> None:
    with style.look():
        found = titles(window_rows.perturbations(inputs.of("perturbed"), inputs.representation))
    assert found == ["reconstruction", "0.25 × spread", "0.5 × spread", "1 × spread"]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
@pytest.mark.parametrize("labels", [1, 4, 20])
def test_transfers_and_samples_of_many_labels_with_long_names_do_not_overlap(kind: str, labels: int) -> None:
    config = MelConfig(bands=16, n_fft=256, hop_length=64) if kind == "mel" else WaveformConfig()
    array = np.full((16, 20) if kind == "mel" else (600,), 0.2, np.float32)
    names = [f"{i} {LONG}" for i in range(labels)]
    originals = [Window("original", i, array, label=names[0], track_id=LONG * 3) for i in range(3)]
    moved = [Window("transfer", 0, array, step=i, label=name) for i, name in enumerate(names)]
    moved += [Window("transfer", i, array, label=names[-1]) for i in (1, 2)]
    drawn = [Window("sample", i, array, label=name) for i, name in enumerate(names)]
    with style.look():
        picture = window_rows.transfers(originals, moved, config)
        assert overlapping(picture) == [] == overlapping(window_rows.samples(drawn, config))
    images = sum(bool(ax.images) for ax in picture.axes)
    assert images == 1 + labels + 2 * 2
    assert sum(title.startswith("as ") for title in titles(picture)) == labels + 2


def test_samples_are_under_the_label_that_they_were_given(inputs: Inputs) -> None:
    with style.look():
        found = titles(window_rows.samples(inputs.of("sample"), inputs.representation))
    is_conditional = inputs.variant == "wave_fake"
    assert found == (
        [r"\$cash\$", "_hidden", "<b>", "waltz"] if is_conditional else [f"sample {i}" for i in range(1, 5)]
    )


def test_a_text_is_cut_to_the_inches_there_are() -> None:
    assert style.fit("short", 2, 9) == "short"
    cut = style.fit(LONG, 1.2, 9)
    assert "…" in cut and style.width(cut, 9) <= 1.25 and cut.startswith("a") and cut.endswith("e\\$")


def test_a_sheet_is_as_large_as_its_parts() -> None:
    with style.look():
        sheet = Sheet([2.0, 1.0], [1.0, 0.5], left=0.5, right=0.25, top=0.25, bottom=0.5, across=0.25, down=0.5)
        place = sheet.axes(1, 1).get_position()
        whole = sheet.axes(0, 0, rows=2, columns=2).get_position()
    assert tuple(sheet.picture.get_size_inches()) == (4.0, 2.75)
    assert (4 * place.x0, 2.75 * place.y0, 4 * place.width, 2.75 * place.height) == pytest.approx((2.75, 0.5, 1, 0.5))
    assert (4 * whole.width, 2.75 * whole.height) == pytest.approx((3.25, 2.0))


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_a_long_window_of_high_resolution_is_drawn(kind: str) -> None:
    audio = artefacts.music(0, 22050, 30.0)
    config: MelConfig | WaveformConfig = WaveformConfig(sample_rate=22050)
    array = audio
    if kind == "mel":
        config = MelConfig(bands=256, n_fft=4096)
        array, _ = artefacts.unit(audio, config)
    pair = Window("original", 0, array, track_id=LONG), Window("reconstruction", 0, artefacts.blur(array, 0.3))
    with style.look():
        picture = comparisons.reconstructions([pair], config)
        assert overlapping(picture) == []
    assert any(tick.get_text() == "20" for ax in picture.axes for tick in ax.get_xticklabels())
