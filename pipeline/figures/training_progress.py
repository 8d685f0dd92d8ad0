"""The course of a training as GIF: one window's reconstruction, and a grid of what fixed latents are decoded to."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import to_db
from pipeline.figures import style, window_plots
from pipeline.figures.comparisons import FULL_SCALE_BAR, LEVEL_BAR
from pipeline.figures.grid import Sheet
from pipeline.figures.variant_data import Window
from pipeline.figures.window_rows import course

DPI = 80
FRAME_MS, LAST_MS = 450, 1800  # how long a frame stands
SIDE = 3  # of the grid of samples
SAMPLES = SIDE * SIDE

Update = Callable[[np.ndarray], None]


def progress(snapshots: Sequence[Window], config: MelConfig | WaveformConfig, path: Path, dpi: int) -> int:
    """Write the first fixed window beside its reconstruction at each kept epoch; return the number of frames."""
    original, made = course(snapshots)
    is_mel = isinstance(config, MelConfig)
    sheet = Sheet([3.2] * 2, [1.7] if is_mel else [0.9, 1.4], right=0.8, top=0.3, down=0.12)
    limit = highest([original.array, *(w.array for w in made)])
    _show(sheet, 0, original.array, config, limit, style.INK)
    artists, updates = _show(sheet, 1, made[0].array, config, limit, style.ACCENT)
    first = sheet.picture.axes[0]
    first.set_title("original", fontweight="bold")
    sheet.bar(sheet.picture.axes[-1].images[0], 1, LEVEL_BAR if is_mel else FULL_SCALE_BAR)
    frames = [(f"reconstruction after epoch {w.epoch}", [w.array] * len(updates)) for w in made]
    return _write(sheet, artists, updates, frames, sheet.picture.axes[1 if is_mel else 2], path, dpi)


def generation(snapshots: Sequence[Window], config: MelConfig | WaveformConfig, path: Path, dpi: int) -> int:
    """Write what nine fixed latents drawn from the prior are decoded to at each kept epoch; return how many frames."""
    drawn = [w for w in snapshots if w.kind == "sample" and w.number < SAMPLES]
    epochs = sorted({w.epoch for w in drawn})
    of = {(w.epoch, w.number): w.array for w in drawn}
    numbers = sorted({w.number for w in drawn})
    rows = -(-len(numbers) // SIDE)
    height = 1.0 if isinstance(config, MelConfig) else 0.75
    right = 0.8 if isinstance(config, MelConfig) else 0.2
    sheet = Sheet([2.0] * min(SIDE, len(numbers)), [height] * rows, right=right, top=0.3, down=0.14)
    limit = highest([w.array for w in drawn])
    artists: list[Artist] = []
    updates: list[Update] = []
    for place, number in enumerate(numbers):
        ax = sheet.axes(place // SIDE, place % SIDE)
        sides = ("" if place + SIDE < len(numbers) else "x") + ("" if place % SIDE else "y")
        artist, update = cell(ax, of[epochs[0], number], config, limit, style.ACCENT, sides)
        artists.append(artist)
        updates.append(update)
    if isinstance(config, MelConfig):
        sheet.bar(sheet.picture.axes[0].images[0], len(sheet.picture.axes[:SIDE]) - 1, LEVEL_BAR)
    frames = [(f"samples after epoch {epoch}", [of[epoch, n] for n in numbers]) for epoch in epochs]
    return _write(sheet, artists, updates, frames, sheet.picture.axes[0], path, dpi)


def highest(arrays: Sequence[np.ndarray]) -> float:
    """What waveforms are drawn up to, either way."""
    return max(1.05 * max(float(np.abs(array).max(initial=0)) for array in arrays), 1e-3)


def _show(
    sheet: Sheet, column: int, array: np.ndarray, config: MelConfig | WaveformConfig, limit: float, color: str
) -> tuple[list[Artist], list[Update]]:
    """A window in a column, and what changes of it: a mel, or a waveform above its spectrogram."""
    ax, y = sheet.axes(0, column), "" if column else "y"
    if isinstance(config, MelConfig):
        artist, update = cell(ax, array, config, limit, color, "x" + y)
        return [artist], [update]
    artist, update = cell(ax, array, config, limit, color, y)
    below = sheet.axes(1, column)
    seconds = len(array) / config.sample_rate
    image = window_plots.spectrogram(below, window_plots.spectrum(array, config), config, seconds, "x" + y)
    return [artist, image], [update, lambda values: image.set_data(window_plots.spectrum(values, config))]


def cell(
    ax: Axes, array: np.ndarray, config: MelConfig | WaveformConfig, limit: float, color: str, sides: str
) -> tuple[Artist, Update]:
    """Draw a window; what it is drawn with, and a function that puts another window in its place."""
    if isinstance(config, MelConfig):
        image = window_plots.mel(ax, array, config, sides)
        return image, lambda values: image.set_data(to_db(values))
    rate = config.sample_rate
    window_plots.waveform(ax, array, rate, limit, color, sides)
    line = ax.lines[0]
    return line, lambda values: line.set_data(*window_plots.outline(values, rate))


def _write(
    sheet: Sheet,
    artists: Sequence[Artist],
    updates: Sequence[Update],
    frames: Sequence[tuple[str, Sequence[np.ndarray]]],
    titled: Axes,
    path: Path,
    dpi: int,
) -> int:
    """Draw what stands still once, and for each frame its title and the artists that it updates over that."""
    picture = sheet.picture
    picture.set_dpi(min(dpi, DPI))
    text = titled.set_title("", fontweight="bold")
    moving = [*artists, text]
    for artist in moving:
        artist.set_animated(True)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    still = canvas.copy_from_bbox(picture.bbox)
    images = []
    for words, values in frames:
        canvas.restore_region(still)
        text.set_text(words)
        for update, value in zip(updates, values, strict=True):
            update(value)
        for artist in moving:
            picture.draw_artist(artist)
        images.append(style.reduced(canvas))
    _save(images, path)
    return len(images)


def _save(images: Sequence["Image.Image"], path: Path) -> None:
    """An endless GIF."""
    standing = [FRAME_MS] * (len(images) - 1) + [LAST_MS]
    content = io.BytesIO()
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=standing, loop=0)
    path.write_bytes(content.getvalue())
