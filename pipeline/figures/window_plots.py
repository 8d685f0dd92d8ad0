"""Plots of one window: a mel spectrogram, a waveform, or the spectrogram of a waveform.

They look like `librosa.display.specshow`, but are images, which draw ten times faster than a mesh of cells: mel bands
are equally spaced anyway, and the spectrum of a waveform is resampled to rows that are equally spaced in log frequency.
Only the ticks must be computed.

`sides` names the axes with ticks and a unit: "xy", "x", "y" or "". Ticks that a neighbour has already are left out,
because they take as long to draw as the image.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from pipeline.audio.mel_scale import hertz_to_mel
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import FLOOR_DB, to_db
from pipeline.figures import style
from pipeline.figures.variant_data import Representation

FULL_SCALE_RANGE = (-90.0, -10.0)  # dB of full scale, in the spectrogram of a waveform
MAX_DIFFERENCE_DB = 40.0
FRAME_SECONDS = 0.1
MIN_HERTZ = 32.0  # lowest frequency of a waveform's spectrogram
SPECTROGRAM_ROWS = 160
OUTLINE_COLUMNS = 500  # pairs of points that draw a long waveform
MEL_TICKS = (0, 500, 1000, 2000, 4000, 8000, 16000)
LOG_TICKS = (50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)
PEAK_DB_LABEL = "dB below the peak"
FULL_SCALE_LABEL = "dB of full scale"

Update = Callable[[np.ndarray], None]  # shows another window in the same axes


def window(
    axes: Sequence[Axes], array: np.ndarray, config: Representation, limit: float, color: str, sides: str
) -> tuple[Artist, Update]:
    """Plot a mel, or a waveform and, if there are two axes, below it its spectrogram.

    Returns:
        The artist of the last axes, and a function that makes the first axes show another window.
    """
    if isinstance(config, MelConfig):
        image = mel(axes[0], array, config, sides)
        return image, lambda values: image.set_data(to_db(values))
    rate, has_spectrogram = config.sample_rate, len(axes) > 1
    waveform(axes[0], array, rate, limit, color, sides.replace("x", "") if has_spectrogram else sides)
    line = axes[0].lines[0]
    if has_spectrogram:
        spectrum = spectrogram(axes[1], spectrum_db(array, config), config, len(array) / rate, sides)
    return spectrum if has_spectrogram else line, lambda values: line.set_data(*outline(values, rate))


def mel(ax: Axes, array: np.ndarray, config: MelConfig, sides: str = "xy", is_difference: bool = False) -> AxesImage:
    """Plot a (bands, frames) mel in [0, 1] as dB below the peak, or the absolute difference of two mels in dB."""
    hop = config.hop_length / config.sample_rate
    image = _image(
        ax,
        np.abs(array) * FLOOR_DB if is_difference else to_db(array),
        (-hop / 2, (array.shape[1] - 0.5) * hop),  # frames are centred at multiples of the hop
        (-FLOOR_DB, 0.0),
        is_difference,
    )
    ticks = [tick for tick in MEL_TICKS if tick <= config.sample_rate / 2]
    _hertz_axis(ax, ticks, [float(mel_position(tick, config)) for tick in ticks], sides)
    _seconds_axis(ax, 0.0, max(array.shape[1] - 1, 1) * hop, sides)
    ax.set_ylim(0, array.shape[0])
    return image


def mel_position(hertz: float, config: MelConfig) -> float:
    """Position of a frequency on the axis of mel bands; the first band extends from 0 to 1, with its centre at 0.5."""
    return hertz_to_mel(hertz) / hertz_to_mel(config.sample_rate / 2) * (config.bands + 1) - 0.5


def spectrogram(
    ax: Axes, db: np.ndarray, config: WaveformConfig, seconds: float, sides: str = "xy", is_difference: bool = False
) -> AxesImage:
    """Plot the result of `spectrum_db`, or the absolute difference of two results."""
    hop = _frame(config) / 4 / config.sample_rate
    x_limits = (-hop / 2, (db.shape[1] - 0.5) * hop)
    image = _image(ax, np.abs(db) if is_difference else db, x_limits, FULL_SCALE_RANGE, is_difference)
    nyquist = config.sample_rate / 2
    ticks = [tick for tick in LOG_TICKS if MIN_HERTZ <= tick <= nyquist]
    octaves = np.log(nyquist / MIN_HERTZ)
    _hertz_axis(ax, ticks, [SPECTROGRAM_ROWS * float(np.log(tick / MIN_HERTZ) / octaves) for tick in ticks], sides)
    _seconds_axis(ax, 0.0, seconds, sides)
    ax.set_ylim(0, SPECTROGRAM_ROWS)
    return image


def spectrum_db(array: np.ndarray, config: WaveformConfig) -> np.ndarray:
    """(SPECTROGRAM_ROWS, frames) of (samples,) in dB of full scale; rows from `MIN_HERTZ` to Nyquist, log-spaced.

    A full-scale sine has 0 dB. A row with several bins has the loudest. Values are clipped at the lower limit of
    `FULL_SCALE_RANGE`.
    """
    size = _frame(config)
    padded = np.pad(np.asarray(array, np.float32), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size, dtype=np.float32) / size)
    magnitude = np.abs(np.fft.rfft(frames * hann, axis=1)).T / (size / 4)  # half the sum of hann: a sine has 1
    row = np.arange(SPECTROGRAM_ROWS + 1) / SPECTROGRAM_ROWS
    edges = MIN_HERTZ * (config.sample_rate / 2 / MIN_HERTZ) ** row * size / config.sample_rate
    first = np.minimum(np.round(edges[:-1]).astype(int), len(magnitude) - 1)
    last = np.minimum(np.round(edges[1:]).astype(int), len(magnitude))
    rows = np.stack([magnitude[a : max(b, a + 1)].max(axis=0) for a, b in zip(first, last, strict=True)])
    return np.asarray(20 * np.log10(np.maximum(rows, 10 ** (FULL_SCALE_RANGE[0] / 20))), np.float32)


def waveform(
    ax: Axes,
    array: np.ndarray,
    rate: int,
    limit: float,
    color: str,
    sides: str = "xy",
    start: int = 0,
    width: float = 0.5,
) -> None:
    """Plot (samples,) over seconds with y limits ± `limit`; `start` is the position of the array in the window."""
    ax.plot(*outline(array, rate, start), color=color, linewidth=width)
    ax.set_ylim(-limit, limit)
    _seconds_axis(ax, start / rate, len(array) / rate, sides)
    ax.yaxis.set_visible("y" in sides)
    if "y" in sides:
        tick = _round_tick(limit)
        ax.set_yticks([-tick, 0, tick])
        ax.set_ylabel("amplitude")


def amplitude_limit(*arrays: np.ndarray) -> float:
    """A y limit that fits all of these waveforms."""
    return max(1.05 * max(float(np.abs(array).max(initial=0)) for array in arrays), 1e-3)


def outline(array: np.ndarray, rate: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of a line for (samples,); for a long array, the minimum and maximum of its parts."""
    if len(array) <= 4 * OUTLINE_COLUMNS:
        return (start + np.arange(len(array))) / rate, array
    edges = np.linspace(0, len(array), OUTLINE_COLUMNS + 1).astype(int)[:-1]
    extremes = np.stack([np.minimum.reduceat(array, edges), np.maximum.reduceat(array, edges)], axis=1)
    return np.repeat((start + edges) / rate, 2), extremes.reshape(-1)


def _frame(config: WaveformConfig) -> int:
    """Samples in a frame of a spectrum; the hop is a quarter."""
    return int(2 ** round(np.log2(config.sample_rate * FRAME_SECONDS)))


def _image(
    ax: Axes, values: np.ndarray, x_limits: tuple[float, float], limits: tuple[float, float], is_difference: bool
) -> AxesImage:
    low, high = (0.0, MAX_DIFFERENCE_DB) if is_difference else limits
    colors: Any = {"vmin": low, "vmax": high, "cmap": style.AMOUNT_COLORS if is_difference else style.DB_COLORS}
    return ax.imshow(values, origin="lower", aspect="auto", extent=(*x_limits, 0, len(values)), **colors)


def _round_tick(limit: float) -> float:
    """The largest of 1, 2, 4, 6, 8 times a power of ten that is at most 90 % of the limit."""
    scale = 10.0 ** np.floor(np.log10(0.9 * limit))
    return float(scale * max(digit for digit in (1, 2, 4, 6, 8) if digit * scale <= 0.9 * limit))


def _seconds_axis(ax: Axes, start: float, length: float, sides: str) -> None:
    """Set limits and ticks; no tick is at the right end, where the first one of the next plot may be."""
    ax.xaxis.set_visible("x" in sides)  # an axis without ticks would take as long to draw as one with ticks
    if "x" in sides:
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(start, start + length)
        ax.set_xticks([tick for tick in ticks if start <= tick <= start + 0.93 * length])
        ax.set_xlabel("seconds")
    ax.set_xlim(start, start + length)


def _hertz_axis(ax: Axes, ticks: list[int], positions: list[float], sides: str) -> None:
    ax.yaxis.set_visible("y" in sides)
    if "y" in sides:
        ax.set_yticks(positions, [f"{tick / 1000:g}k" if tick >= 1000 else str(tick) for tick in ticks])
        ax.set_ylabel("Hz")
