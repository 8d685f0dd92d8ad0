"""Training progress: GIF animations of a reconstruction and of samples, and an image of the fixed windows per epoch."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL.Image import Image

from pipeline.audio.representation import MelConfig
from pipeline.core.artefacts import read_json
from pipeline.figures import style, window_plots
from pipeline.figures.comparisons import window_name
from pipeline.figures.grid import FigureGrid, set_title
from pipeline.figures.variant_data import Representation, Window, read_representation, read_windows, user_texts

MAX_DPI = 80
FRAME_MS, LAST_FRAME_MS = 450, 1800
SAMPLE_COLUMNS = 3
SAMPLES = SAMPLE_COLUMNS**2
EPOCH_COLUMNS = 2
EPOCH_WIDTH, EPOCH_HEIGHT = 2.6, 1.15  # inches, of a window in an epoch image

Frame = tuple[str, list[np.ndarray]]  # a text, and an array for each updated artist


def write_samples_gif(snapshots: Sequence[Window], config: Representation, path: Path, dpi: int) -> None:
    """Write the windows decoded from nine fixed latents after each kept epoch."""
    samples = {(w.epoch, w.index): w.array for w in snapshots if w.kind == "sample" and w.index < SAMPLES}
    epochs, indices = (sorted(set(values)) for values in zip(*samples, strict=True))
    is_mel = isinstance(config, MelConfig)
    rows, columns = -(-len(indices) // SAMPLE_COLUMNS), min(SAMPLE_COLUMNS, len(indices))
    heights = [1.0 if is_mel else 0.75] * rows
    grid = FigureGrid([2.0] * columns, heights, right=0.8 if is_mel else 0.2, top=0.3, row_gaps=0.14)
    limit = window_plots.amplitude_limit(*samples.values())
    artists: list[Artist] = []
    updates: list[window_plots.Update] = []
    for i, index in enumerate(indices):
        row, column = divmod(i, SAMPLE_COLUMNS)
        sides = ("" if i + SAMPLE_COLUMNS < len(indices) else "x") + ("" if column else "y")
        array, axes = samples[epochs[0], index], [grid.axes(row, column)]
        artist, update = window_plots.window(axes, array, config, limit, style.ACCENT, sides)
        artists.append(artist)
        updates.append(update)
    if is_mel:
        grid.colorbar(artists[0], columns - 1, window_plots.PEAK_DB_LABEL)
    frames = [(f"samples after epoch {epoch}", [samples[epoch, i] for i in indices]) for epoch in epochs]
    heading = grid.figure.axes[0].set_title("", fontweight="bold")
    _write_gif(_draw_frames(grid, artists, updates, frames, heading, dpi), path)


def _write_gif(frames: Iterable[Image], path: Path) -> None:
    """Write an endless GIF."""
    first, *others = frames
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    path.write_bytes(content.getvalue())


def _draw_frames(
    grid: FigureGrid,
    artists: Sequence[Artist],
    updates: Sequence[window_plots.Update],
    frames: Sequence[Frame],
    heading: Text,
    dpi: int,
) -> Iterator[Image]:
    """Draw the fixed parts once, then for each frame its text as `heading` and the updated artists."""
    grid.figure.set_dpi(min(dpi, MAX_DPI))
    animated = [*artists, heading]
    for artist in animated:
        artist.set_animated(True)
    canvas = FigureCanvasAgg(grid.figure)
    canvas.draw()
    background = canvas.copy_from_bbox(grid.figure.bbox)
    for text, arrays in frames:
        canvas.restore_region(background)
        heading.set_text(text)
        for update, array in zip(updates, arrays, strict=True):
            update(array)
        for artist in animated:
            grid.figure.draw_artist(artist)
        yield style.to_palette(canvas)


def write_reconstruction_gif(snapshots: Sequence[Window], config: Representation, path: Path, dpi: int) -> None:
    """Write the fixed windows, each above its reconstruction, after each kept epoch."""
    _write_gif([image for epoch, image in _draw_epochs(snapshots, config, dpi) if epoch], path)


def write_epoch_images(model: Path, out: Path, dpi: int) -> int:
    """Write images of the fixed windows for MLflow alone: <epoch>.png for each kept epoch; return their number.

    Each window is above its reconstruction. 0.png has the windows alone: MLflow's slider begins at 0. MLflow shows the
    images small and square, so they are nearly square, with the epoch in large letters. A baseline has no epochs and no
    images.

    `model` is the folder of a trained model, `out` an existing folder; a `dpi` above 80 counts as 80.

    Raises:
        DataError: a file of the model is missing or damaged.
    """
    config = read_json(model / "config.json")
    if config["train"] is None:
        return 0
    snapshots = read_windows(model / "snapshots.parquet", "index")
    with style.paper_style(user_texts(snapshots)):
        return draw_epoch_images(snapshots, read_representation(config), out, dpi)


def draw_epoch_images(snapshots: Sequence[Window], config: Representation, out: Path, dpi: int) -> int:
    """Draw the images of `write_epoch_images`; return their number."""
    images = list(_draw_epochs(snapshots, config, dpi))
    for epoch, image in images:
        image.save(out / f"{epoch}.png", "PNG", compress_level=style.PNG_COMPRESSION)
    return len(images)


def _draw_epochs(snapshots: Sequence[Window], config: Representation, dpi: int) -> Iterator[tuple[int, Image]]:
    """0 and the fixed windows alone, then each kept epoch and the windows above their reconstructions."""
    originals = sorted((w for w in snapshots if w.kind == "original"), key=lambda w: w.index)
    reconstructions = {(w.epoch, w.index): w.array for w in snapshots if w.kind == "reconstruction"}
    epochs = sorted({epoch for epoch, _ in reconstructions})
    blocks = -(-len(originals) // EPOCH_COLUMNS)
    widths = [EPOCH_WIDTH] * min(EPOCH_COLUMNS, len(originals))
    grid = FigureGrid(widths, [EPOCH_HEIGHT] * 2 * blocks, top=0.72, row_gaps=([0.06, 0.36] * blocks)[:-1])
    limit = window_plots.amplitude_limit(*(w.array for w in originals), *reconstructions.values())
    artists: list[Artist] = []
    updates: list[window_plots.Update] = []
    for i, window in enumerate(originals):
        block, column = divmod(i, EPOCH_COLUMNS)
        x, y = "x" if i + EPOCH_COLUMNS >= len(originals) else "", "" if column else "y"
        above, below = grid.axes(2 * block, column), grid.axes(2 * block + 1, column)
        window_plots.window([above], window.array, config, limit, style.INK, y)
        set_title(above, window_name(window), EPOCH_WIDTH, is_bold=True)
        first = reconstructions[epochs[0], window.index]
        image, update = window_plots.window([below], first, config, limit, style.ACCENT, x + y)
        artists += [image, *below.spines.values()]  # the frame of the axes is above the window
        updates.append(update)
    heading = grid.figure.text(0.02, 0.985, "", va="top", fontsize=15, fontweight="bold")
    frames = [("Before training", [np.zeros_like(window.array) for window in originals])]
    for epoch in epochs:
        frames.append((f"Rebuilt after epoch {epoch}", [reconstructions[epoch, w.index] for w in originals]))
    yield from zip([0, *epochs], _draw_frames(grid, artists, updates, frames, heading, dpi), strict=True)
