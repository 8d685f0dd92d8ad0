"""Originals beside reconstructions: spectrograms with their difference, and waveforms."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import style, window_plots
from pipeline.figures.grid import FigureGrid, set_title
from pipeline.figures.variant_data import ExampleAudio, Representation, Window

ZOOM_SECONDS = 0.05
DIFFERENCE_LABEL = "dB too quiet or too loud"
EXTREMES = ("best", "median", "worst")  # names of steps 0, 1 and 2

Pairs = Sequence[tuple[Window, Window]]


def pair_mse(original: Window, reconstruction: Window) -> float:
    """Mean squared error of a pair on the variant's own scale."""
    return float(np.mean(np.square(reconstruction.array - original.array, dtype=np.float64)))


def window_name(window: Window) -> str:
    """The track of a window, or its label if the track has no name."""
    return style.isolate(window.track_id or window.label) or f"window {window.index + 1}"


def draw_reconstructions(pairs: Pairs, config: Representation, are_extremes: bool = False) -> Figure:
    """For each pair original, reconstruction, and the absolute difference of the two in dB.

    Extremes are the windows with the lowest, the median and the highest error; their names say so.
    """
    names = [f"{EXTREMES[w.step]}: {window_name(w)}" if are_extremes else window_name(w) for w, _ in pairs]
    if isinstance(config, MelConfig):
        return _draw_mels(pairs, names, config)
    return _draw_waveforms(pairs, names, config)


def _draw_mels(pairs: Pairs, names: list[str], config: MelConfig) -> Figure:
    grid = FigureGrid([3.2] * 3, [1.45] * len(pairs), right=0.75, column_gaps=[0.12, 0.85])
    for row, ((original, reconstruction), name) in enumerate(zip(pairs, names, strict=True)):
        axes = [grid.axes(row, column) for column in range(3)]
        x = "x" if row + 1 == len(pairs) else ""
        image = window_plots.mel(axes[0], original.array, config, x + "y")
        window_plots.mel(axes[1], reconstruction.array, config, x)
        difference = window_plots.mel(axes[2], reconstruction.array - original.array, config, x, is_difference=True)
        titles = (name, f"reconstruction, MSE {pair_mse(original, reconstruction):#.3g}", "absolute difference")
        _set_titles(axes, grid, titles)
    grid.colorbar(image, 1, window_plots.PEAK_DB_LABEL)
    grid.colorbar(difference, 2, DIFFERENCE_LABEL, extend="max")
    return grid.figure


def _draw_waveforms(pairs: Pairs, names: list[str], config: WaveformConfig) -> Figure:
    """For each pair waveforms above spectrograms; right, 50 ms of both waveforms where the original is loudest."""
    row_gaps = [0.12, 0.55] * len(pairs)
    heights = [0.75, 1.3] * len(pairs)
    grid = FigureGrid([2.7, 2.7, 2.7, 2.3], heights, column_gaps=[0.12, 0.85, 1.3], row_gaps=row_gaps[:-1])
    for block, ((original, reconstruction), name) in enumerate(zip(pairs, names, strict=True)):
        is_last = block + 1 == len(pairs)
        arrays = (original.array, reconstruction.array, reconstruction.array - original.array)
        limit = window_plots.amplitude_limit(*arrays[:2])
        waveform_axes = [grid.axes(2 * block, column) for column in range(3)]
        spectrogram_axes = [grid.axes(2 * block + 1, column) for column in range(3)]
        colors = (style.INK, style.ACCENT, style.ERROR)
        for column, (ax, array, color) in enumerate(zip(waveform_axes, arrays, colors, strict=True)):
            window_plots.waveform(ax, array, config.sample_rate, limit, color, "" if column else "y")
        spectra = [window_plots.spectrum_db(array, config) for array in arrays[:2]]
        spectra.append(spectra[1] - spectra[0])
        seconds = len(original.array) / config.sample_rate
        x = "x" if is_last else ""
        images = [
            window_plots.spectrogram(ax, db, config, seconds, x if column else x + "y", is_difference=column == 2)
            for column, (ax, db) in enumerate(zip(spectrogram_axes, spectra, strict=True))
        ]
        titles = (name, f"reconstruction, MSE {pair_mse(original, reconstruction):#.3g}", "reconstruction − original")
        _set_titles(waveform_axes, grid, titles)
        zoom = grid.axes(2 * block, 3, rows=2)
        _draw_zoom(zoom, original.array, reconstruction.array, config.sample_rate, limit)
        if block == 0:
            lines = ["original", "reconstruction"]
            zoom.legend(zoom.lines, lines, loc="upper right", ncols=2, bbox_to_anchor=(1.03, 1.02))
        if not is_last:
            zoom.set_xlabel("")
    grid.colorbar(images[0], 1, window_plots.FULL_SCALE_LABEL)
    grid.colorbar(images[2], 2, DIFFERENCE_LABEL, extend="max")
    return grid.figure


def _set_titles(axes: Sequence[Axes], grid: FigureGrid, titles: Sequence[str]) -> None:
    for column, (ax, text) in enumerate(zip(axes, titles, strict=True)):
        set_title(ax, text, grid.widths[column], is_bold=column == 0)


def _draw_zoom(ax: Axes, original: np.ndarray, reconstruction: np.ndarray, rate: int, limit: float) -> None:
    length = min(len(original), max(2, round(ZOOM_SECONDS * rate)))
    start = int(np.clip(np.abs(original).argmax() - length // 2, 0, len(original) - length))
    part = slice(start, start + length)
    window_plots.waveform(ax, original[part], rate, limit, style.FAINT, "", start, width=3)
    window_plots.waveform(ax, reconstruction[part], rate, limit, style.ACCENT, "xy", start, width=1.2)
    ax.set_title(f"{1000 * ZOOM_SECONDS:.0f} ms at the loudest place", fontweight="normal")


def draw_audio(audio: dict[int, ExampleAudio], names: dict[int, str], rate: int) -> Figure:
    """A row for each example, on one scale: original, original through the inversion, reconstruction."""
    grid = FigureGrid([3.7] * 3, [0.85] * len(audio))
    for row, (index, clips) in enumerate(audio.items()):
        waveforms = (clips.original, clips.ceiling, clips.reconstruction)
        axes = [grid.axes(row, column) for column in range(3)]
        colors = (style.INK, style.MUTED, style.ACCENT)
        for column, (ax, waveform, color) in enumerate(zip(axes, waveforms, colors, strict=True)):
            sides = ("x" if row + 1 == len(audio) else "") + ("" if column else "y")
            window_plots.waveform(ax, waveform, rate, window_plots.amplitude_limit(*waveforms), color, sides)
        name = names.get(index, f"example {index + 1}")
        _set_titles(axes, grid, (name, "through the inversion alone", "reconstruction"))
    return grid.figure
