"""The three pictures of one window: a mel spectrogram, a waveform, and a waveform's spectrogram."""

import librosa
import librosa.display
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.ticker import MaxNLocator

from pipeline.audio.scale import FLOOR_DB, to_db
from pipeline.cache.config import MelConfig, WaveformConfig
from pipeline.figures import style

FULL_SCALE_RANGE = (-90.0, -10.0)  # dB of full scale shown in a waveform's spectrogram
DIFFERENCE_DB = 40.0
FRAME_SECONDS = 0.1


def mel(ax: Axes, array: np.ndarray, config: MelConfig, is_difference: bool = False) -> QuadMesh:
    """A (bands, frames) mel in [0, 1] as dB below the window's peak; or a difference of two such, as signed dB."""
    low, high = (-DIFFERENCE_DB, DIFFERENCE_DB) if is_difference else (-FLOOR_DB, 0.0)
    image = librosa.display.specshow(
        array * FLOOR_DB if is_difference else to_db(array),
        sr=config.sample_rate,
        hop_length=config.hop_length,
        n_fft=config.n_fft,
        x_axis="s",
        y_axis="mel",
        fmax=config.sample_rate / 2,
        cmap=style.SIGNED if is_difference else style.LEVELS,
        vmin=low,
        vmax=high,
        rasterized=True,
        ax=ax,
    )
    _hertz(ax, [0, 500, 1000, 2000, 4000, 8000, 16000], config.sample_rate)
    return image


def spectrogram(ax: Axes, array: np.ndarray, config: WaveformConfig) -> QuadMesh:
    """The log-frequency spectrogram of (samples,) in dB of full scale: a full-scale sine reads 0, silence is dark."""
    n_fft = 2 ** round(np.log2(config.sample_rate * FRAME_SECONDS))
    magnitude = np.abs(librosa.stft(np.asarray(array, np.float32), n_fft=n_fft, hop_length=n_fft // 4))
    low, high = FULL_SCALE_RANGE
    image = librosa.display.specshow(
        librosa.amplitude_to_db(magnitude, ref=n_fft / 4, amin=1e-9, top_db=None),  # n_fft / 4: Hann, half its sum
        sr=config.sample_rate,
        hop_length=n_fft // 4,
        n_fft=n_fft,
        x_axis="s",
        y_axis="log",
        cmap=style.LEVELS,
        vmin=low,
        vmax=high,
        rasterized=True,
        ax=ax,
    )
    ax.set_xlim(0, len(array) / config.sample_rate)
    ax.set_ylim(32, config.sample_rate / 2)
    _hertz(ax, [50, 100, 200, 400, 800, 2000, 4000, 8000, 16000], config.sample_rate)
    return image


def waveform(
    ax: Axes, array: np.ndarray, config: WaveformConfig, limit: float, color: str, start: int = 0, width: float = 0.5
) -> None:
    """(samples,) over seconds, on an axis of ± `limit`; `start` is the window's sample at which the array begins."""
    seconds = (start + np.arange(len(array))) / config.sample_rate
    ax.plot(seconds, array, color=color, linewidth=width)
    ax.set_xlim(seconds[0], (start + len(array)) / config.sample_rate)
    ax.set_ylim(-limit, limit)
    ax.set_xlabel("seconds")
    ax.set_ylabel("amplitude")


def bare(ax: Axes, x: bool = False, y: bool = False) -> None:
    """Leave out an axis label and tick labels that the neighbouring panel already carries."""
    if x:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    if y:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)


def _hertz(ax: Axes, ticks: list[int], sample_rate: int) -> None:
    shown = [tick for tick in ticks if tick <= sample_rate / 2]
    ax.set_yticks(shown, [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in shown])
    ax.minorticks_off()
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_xlabel("seconds")
    ax.set_ylabel("Hz")
