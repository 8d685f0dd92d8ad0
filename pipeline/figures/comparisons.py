"""Originals beside reconstructions: spectrograms with their difference, and waveforms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import style, window_plots
from pipeline.figures.grid import Sheet, title
from pipeline.figures.variant_data import Heard, Window

ZOOM_SECONDS = 0.05
LEVEL_BAR = "dB below the peak"
FULL_SCALE_BAR = "dB of full scale"
DIFFERENCE_BAR = "dB too quiet or too loud"
EXTREMES = ("best", "median", "worst")

Pairs = Sequence[tuple[Window, Window]]


def mse(original: Window, reconstruction: Window) -> float:
    """Mean squared error of a pair on the input's own scale."""
    return float(np.mean(np.square(reconstruction.array - original.array, dtype=np.float64)))


def name(window: Window) -> str:
    """A window's recording, or its label where the recording has no name."""
    return window.track_id or window.label or f"window {window.number + 1}"


def reconstructions(pairs: Pairs, config: MelConfig | WaveformConfig) -> Figure:
    """For each pair original, reconstruction, and the absolute difference between the two in dB."""
    return _compared(pairs, [name(original) for original, _ in pairs], config)


def extremes(pairs: Pairs, config: MelConfig | WaveformConfig) -> Figure:
    """The same of the windows with the lowest, the median and the highest error."""
    return _compared(pairs, [f"{EXTREMES[w.step]}: {name(w)}" for w, _ in pairs], config)


def _compared(pairs: Pairs, names: list[str], config: MelConfig | WaveformConfig) -> Figure:
    if isinstance(config, MelConfig):
        return _mels(pairs, names, config)
    return _waveforms(pairs, names, config)


def _mels(pairs: Pairs, names: list[str], config: MelConfig) -> Figure:
    sheet = Sheet([3.2] * 3, [1.45] * len(pairs), right=0.75, across=[0.12, 0.85])
    for row, ((original, made), text) in enumerate(zip(pairs, names, strict=True)):
        axes = [sheet.axes(row, column) for column in range(3)]
        x = "x" if row + 1 == len(pairs) else ""
        level = window_plots.mel(axes[0], original.array, config, x + "y")
        window_plots.mel(axes[1], made.array, config, x)
        difference = window_plots.mel(axes[2], made.array - original.array, config, x, is_difference=True)
        _titles(axes, sheet, text, mse(original, made), "absolute difference")
    _bars(sheet, level, difference, LEVEL_BAR)
    return sheet.picture


def _titles(axes: Sequence[Axes], sheet: Sheet, text: str, error: float, difference: str) -> None:
    said = (text, f"reconstruction, MSE {error:#.3g}", difference)
    for column, (ax, words) in enumerate(zip(axes, said, strict=True)):
        title(ax, words, sheet.width_of(column), is_bold=column == 0)


def _bars(sheet: Sheet, level: AxesImage, difference: AxesImage, text: str) -> None:
    sheet.bar(level, 1, text)
    sheet.bar(difference, 2, DIFFERENCE_BAR, extend="max")


def _waveforms(pairs: Pairs, names: list[str], config: WaveformConfig) -> Figure:
    """In each block waveforms above spectrograms, and 50 ms of both waveforms where the original is loudest."""
    many = len(pairs)
    down = [0.12, 0.55] * many
    sheet = Sheet([2.7, 2.7, 2.7, 2.3], [0.75, 1.3] * many, across=[0.12, 0.85, 1.3], down=down[:-1])
    for block, ((original, made), text) in enumerate(zip(pairs, names, strict=True)):
        arrays = (original.array, made.array, made.array - original.array)
        limit = 1.05 * max(*(float(np.abs(array).max()) for array in arrays[:2]), 1e-3)
        above = [sheet.axes(2 * block, column) for column in range(3)]
        below = [sheet.axes(2 * block + 1, column) for column in range(3)]
        colors = (style.INK, style.ACCENT, style.ERROR)
        for column, (ax, array, color) in enumerate(zip(above, arrays, colors, strict=True)):
            window_plots.waveform(ax, array, config.sample_rate, limit, color, "" if column else "y")
        spectra = [window_plots.spectrum(array, config) for array in arrays[:2]]
        seconds = len(original.array) / config.sample_rate
        x = "x" if block + 1 == many else ""
        level = window_plots.spectrogram(below[0], spectra[0], config, seconds, x + "y")
        window_plots.spectrogram(below[1], spectra[1], config, seconds, x)
        difference = window_plots.spectrogram(below[2], spectra[1] - spectra[0], config, seconds, x, is_difference=True)
        _titles(above, sheet, text, mse(original, made), "reconstruction − original")
        beside = sheet.axes(2 * block, 3, rows=2)
        _zoom(beside, original.array, made.array, config.sample_rate, limit)
        if block == 0:
            corner: dict[str, Any] = {"loc": "upper right", "ncols": 2, "bbox_to_anchor": (1.03, 1.02)}
            beside.legend(beside.lines, ["original", "reconstruction"], **corner)
        if block + 1 < many:
            beside.set_xlabel("")
    _bars(sheet, level, difference, FULL_SCALE_BAR)
    return sheet.picture


def _zoom(ax: Axes, original: np.ndarray, made: np.ndarray, rate: int, limit: float) -> None:
    length = min(len(original), max(2, round(ZOOM_SECONDS * rate)))
    start = int(np.clip(np.abs(original).argmax() - length // 2, 0, len(original) - length))
    cut = slice(start, start + length)
    window_plots.waveform(ax, original[cut], rate, limit, style.FAINT, "", start, width=3)
    window_plots.waveform(ax, made[cut], rate, limit, style.ACCENT, "xy", start, width=1.2)
    ax.set_title(f"{1000 * ZOOM_SECONDS:.0f} ms at the loudest place", fontweight="normal")


def waveforms(heard: dict[int, Heard], names: dict[int, str], rate: int) -> Figure:
    """A row for each example: the recording, the recording through the inversion, and the reconstruction as heard.

    The three of a row share one scale.
    """
    sheet = Sheet([3.7] * 3, [0.85] * len(heard))
    for row, (number, sounds) in enumerate(heard.items()):
        three = (sounds.original, sounds.ceiling, sounds.reconstruction)
        limit = 1.05 * max(*(float(np.abs(audio).max()) for audio in three), 1e-3)
        said = (names.get(number, f"example {number + 1}"), "through the inversion alone", "reconstruction")
        colors = (style.INK, style.MUTED, style.ACCENT)
        for column, (audio, text, color) in enumerate(zip(three, said, colors, strict=True)):
            ax = sheet.axes(row, column)
            sides = ("x" if row + 1 == len(heard) else "") + ("" if column else "y")
            window_plots.waveform(ax, audio, rate, limit, color, sides)
            title(ax, text, sheet.width_of(column), is_bold=column == 0)
    return sheet.picture
