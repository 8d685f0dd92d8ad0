"""The three pictures of one window: a mel spectrogram, a waveform, and a waveform's spectrogram.

They are `librosa.display.specshow`'s, drawn as images: a mel's bands are evenly spaced on the mel axis, and a
waveform's spectrum is first brought to rows that are evenly spaced on a logarithmic one, so that nothing but the ticks
has to be put in the right place. That takes a tenth of the time of a mesh of cells.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import FLOOR_DB, to_db
from pipeline.figures import style

FULL_SCALE_RANGE = (-90.0, -10.0)  # dB of full scale shown in a waveform's spectrogram
DIFFERENCE_DB = 40.0
FRAME_SECONDS = 0.1
LOWEST = 32.0  # Hz, of a waveform's spectrogram
ROWS = 160  # of a waveform's spectrogram
COLUMNS = 500  # pairs of points that a long waveform is drawn with
MEL_TICKS = (0, 500, 1000, 2000, 4000, 8000, 16000)
LOG_TICKS = (50, 100, 200, 400, 800, 1600, 3200, 6400, 12800)


def mel(ax: Axes, array: np.ndarray, config: MelConfig, sides: str = "xy", is_difference: bool = False) -> AxesImage:
    """A (bands, frames) mel in [0, 1] as dB below the window's peak; or a difference of two such, as dB either way.

    Here and below, `sides` are the axes that carry ticks and their unit, "xy", "x", "y" or none: what a neighbour
    already says is left out, and would take as long to draw as the image.
    """
    hop = config.hop_length / config.sample_rate
    image = _image(
        ax,
        np.abs(array) * FLOOR_DB if is_difference else to_db(array),
        (-hop / 2, (array.shape[1] - 0.5) * hop),  # frames are centred at multiples of the hop
        (0.0, DIFFERENCE_DB) if is_difference else (-FLOOR_DB, 0.0),
        is_difference,
    )
    shown = [tick for tick in MEL_TICKS if tick <= config.sample_rate / 2]
    _hertz(ax, shown, [float(band(tick, config)) for tick in shown], sides)
    _seconds(ax, 0.0, max(array.shape[1] - 1, 1) * hop, sides)
    ax.set_ylim(0, array.shape[0])
    return image


def band(hertz: float, config: MelConfig) -> float:
    """Where a frequency lies among a mel's bands, of which the first is drawn from 0 to 1: its centre is at 0.5."""
    return slaney(hertz) / slaney(config.sample_rate / 2) * (config.bands + 1) - 0.5


def slaney(hertz: float) -> float:
    """Mels on the scale of Slaney's Auditory Toolbox (1998): linear up to 1,000 Hz, logarithmic above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def spectrogram(
    ax: Axes,
    levels: np.ndarray,
    config: WaveformConfig,
    seconds: float,
    sides: str = "xy",
    is_difference: bool = False,
) -> AxesImage:
    """What `spectrum` found, or the difference of two such in dB either way."""
    scale = (0.0, DIFFERENCE_DB) if is_difference else FULL_SCALE_RANGE
    hop = _frame(config) / 4 / config.sample_rate
    across = (-hop / 2, (levels.shape[1] - 0.5) * hop)
    image = _image(ax, np.abs(levels) if is_difference else levels, across, scale, is_difference)
    nyquist = config.sample_rate / 2
    shown = [tick for tick in LOG_TICKS if LOWEST <= tick <= nyquist]
    _hertz(ax, shown, [ROWS * float(np.log(tick / LOWEST) / np.log(nyquist / LOWEST)) for tick in shown], sides)
    _seconds(ax, 0.0, seconds, sides)
    ax.set_ylim(0, ROWS)
    return image


def spectrum(array: np.ndarray, config: WaveformConfig) -> np.ndarray:
    """(ROWS, frames) of (samples,) in dB of full scale, from `LOWEST` to the Nyquist frequency on a logarithmic axis.

    A full-scale sine reads 0: where a row holds several bins, it has the loudest of them. Nothing is below the range
    that is shown.
    """
    size = _frame(config)
    padded = np.pad(np.asarray(array, np.float32), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 4]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size, dtype=np.float32) / size)  # Hann
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1)).T / (size / 4)  # half the window's sum: a sine has 1
    edges = LOWEST * (config.sample_rate / 2 / LOWEST) ** (np.arange(ROWS + 1) / ROWS) * size / config.sample_rate
    first = np.minimum(np.round(edges[:-1]).astype(int), len(magnitude) - 1)
    last = np.minimum(np.round(edges[1:]).astype(int), len(magnitude))
    rows = np.stack([magnitude[a : max(b, a + 1)].max(axis=0) for a, b in zip(first, last, strict=True)])
    levels = 20 * np.log10(np.maximum(rows, 10 ** (FULL_SCALE_RANGE[0] / 20)))
    return np.asarray(levels, np.float32)


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
    """(samples,) over seconds, on an axis of ± `limit`; `start` is the window's sample at which the array begins."""
    ax.plot(*outline(array, rate, start), color=color, linewidth=width)
    ax.set_ylim(-limit, limit)
    _seconds(ax, start / rate, len(array) / rate, sides)
    most = _rounded(limit)
    ax.set_yticks([-most, 0, most] if "y" in sides else [])
    ax.set_ylabel("amplitude" if "y" in sides else "")


def outline(array: np.ndarray, rate: int, start: int = 0, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of a line that looks like (samples,): of long ones the extremes of each of `columns` parts."""
    if len(array) <= 4 * columns:
        return (start + np.arange(len(array))) / rate, array
    edges = np.linspace(0, len(array), columns + 1).astype(int)[:-1]
    extremes = np.stack([np.minimum.reduceat(array, edges), np.maximum.reduceat(array, edges)], axis=1)
    return np.repeat((start + edges) / rate, 2), extremes.reshape(-1)


def _frame(config: WaveformConfig) -> int:
    """Samples of a spectrum's frame; the hop is a quarter."""
    return int(2 ** round(np.log2(config.sample_rate * FRAME_SECONDS)))


def _image(
    ax: Axes, values: np.ndarray, across: tuple[float, float], scale: tuple[float, float], is_difference: bool
) -> AxesImage:
    settings: Any = {"vmin": scale[0], "vmax": scale[1], "cmap": style.AMOUNTS if is_difference else style.LEVELS}
    image = ax.imshow(values, origin="lower", aspect="auto", extent=(*across, 0, len(values)), **settings)
    return image


def _rounded(limit: float) -> float:
    """The largest number of one digit, 1, 2, 4, 6 or 8, that is no more than nine tenths of the limit."""
    scale = 10.0 ** np.floor(np.log10(0.9 * limit))
    return float(scale * max(digit for digit in (1, 2, 4, 6, 8) if digit * scale <= 0.9 * limit))


def _seconds(ax: Axes, start: float, length: float, sides: str) -> None:
    """Limits, and ticks that leave the right end free: there the next panel's first one may stand."""
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(start, start + length)
    ax.set_xticks([tick for tick in ticks if start <= tick <= start + 0.93 * length] if "x" in sides else [])
    ax.set_xlim(start, start + length)
    ax.set_xlabel("seconds" if "x" in sides else "")


def _hertz(ax: Axes, ticks: list[int], places: list[float], sides: str) -> None:
    is_shown = "y" in sides
    names = [f"{tick / 1000:g}k" if tick >= 1000 else str(tick) for tick in ticks]
    ax.set_yticks(places if is_shown else [], names if is_shown else [])
    ax.set_ylabel("Hz" if is_shown else "")
