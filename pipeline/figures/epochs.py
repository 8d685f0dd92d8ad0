"""The fixed windows of a training, each above what the model made of it after a kept epoch: a picture for each epoch.

MLflow shows them small, in a square, with a slider; so they are square, and say their epoch in large letters.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core.workspace import read_json
from pipeline.figures import style
from pipeline.figures.comparisons import name
from pipeline.figures.grid import Sheet, title
from pipeline.figures.training_progress import Update, cell, highest
from pipeline.figures.variant_data import Window, windows

DPI = 80
WIDTH, HEIGHT = 2.6, 1.15  # inches of a window
COLUMNS = 2


def write(trained: Path, out: Path, dpi: int) -> int:
    """Write <epoch>.png for each kept epoch into the folder `out`, and return how many; none of a model without epochs.

    0.png has the windows alone: MLflow's slider begins there.

    Args:
        trained: the folder of a model, <variant>/seed-<n>.
        out: an existing folder.
        dpi: resolution, of which 80 is taken at most.

    Raises:
        DataError: a file of the model is missing or damaged.
    """
    described = read_json(trained / "config.json")
    if described["train"] is None:
        return 0
    schema = MelConfig if described["kind"] == "mel" else WaveformConfig
    snapshots = windows(trained / "snapshots.parquet", "index")
    with style.look():
        return draw(snapshots, schema.model_validate(described["representation"]), out, dpi)


def draw(snapshots: Sequence[Window], config: MelConfig | WaveformConfig, out: Path, dpi: int) -> int:
    """The same of originals and reconstructions that have been read."""
    originals = sorted((w for w in snapshots if w.kind == "original"), key=lambda w: w.number)
    made = {(w.epoch, w.number): w.array for w in snapshots if w.kind == "reconstruction"}
    epochs = sorted({epoch for epoch, _ in made})
    blocks = -(-len(originals) // COLUMNS)
    down = [gap for _ in range(blocks) for gap in (0.06, 0.36)][:-1]
    sheet = Sheet([WIDTH] * min(COLUMNS, len(originals)), [HEIGHT] * 2 * blocks, top=0.72, down=down)
    sheet.picture.set_dpi(min(dpi, DPI))
    limit = highest([*(w.array for w in originals), *made.values()])
    updates: list[Update] = []
    for place, window in enumerate(originals):
        row, column = 2 * (place // COLUMNS), place % COLUMNS
        y = "" if column else "y"
        ax = sheet.axes(row, column)
        cell(ax, window.array, config, limit, style.INK, y)
        title(ax, name(window), WIDTH, is_bold=True)
        x = "x" if place + COLUMNS >= len(originals) else ""
        below = sheet.axes(row + 1, column)
        updates.append(cell(below, made[epochs[0], window.number], config, limit, style.ACCENT, x + y)[1])
    words = sheet.picture.text(0.02, 0.985, "", va="top", fontsize=15, fontweight="bold")
    for epoch in [0, *epochs]:
        words.set_text(f"Rebuilt after epoch {epoch}" if epoch else "Before training")
        for window, update in zip(originals, updates, strict=True):
            update(made[epoch, window.number] if epoch else np.zeros_like(window.array))
        canvas = FigureCanvasAgg(sheet.picture)
        canvas.draw()
        style.reduced(canvas).save(out / f"{epoch}.png", "PNG", compress_level=style.COMPRESSION)
    return 1 + len(epochs)
