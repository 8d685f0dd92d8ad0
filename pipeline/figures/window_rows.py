"""Rows of windows: interpolations, perturbations, samples and transfers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pipeline.audio.representation import MelConfig
from pipeline.figures import style, window_plots
from pipeline.figures.comparisons import window_name
from pipeline.figures.grid import TITLE_SIZE, FigureGrid, set_title
from pipeline.figures.variant_data import Representation, Window

MAX_COLUMNS = 7
MAX_STEPS = 11  # shown steps of an interpolation
MAX_WIDTH = 12.6  # inches
COLUMN_GAP = 0.12


@dataclass(frozen=True)
class Cell:
    """A window with a title."""

    title: str
    array: np.ndarray
    is_original: bool = False


Group = tuple[str, list[Cell]]  # a heading and its cells


def draw_interpolations(windows: Sequence[Window], config: Representation) -> Figure:
    """A row for each interpolation of kind linear and slerp."""
    groups = []
    for index in sorted({w.index for w in windows}):
        for kind in ("linear", "slerp"):
            steps = sorted((w for w in windows if (w.kind, w.index) == (kind, index)), key=lambda w: w.step)
            if steps:
                selected = select_evenly(steps, MAX_STEPS)
                cells = [Cell(f"{100 * w.scale:.0f} %", w.array) for w in selected]
                groups.append((f"{interpolation_name(steps)}, {kind}", cells))
    return draw_groups(groups, config, MAX_STEPS)


def interpolation_name(steps: Sequence[Window]) -> str:
    """The names of both ends of an interpolation, or its number from 1."""
    ends = [steps[0].label or steps[0].track_id, steps[-1].label or steps[-1].track_id]
    return " → ".join(map(style.isolate, ends)) if all(ends) else f"walk {steps[0].index + 1}"


def draw_perturbations(windows: Sequence[Window], config: Representation) -> Figure:
    """One window whose latent moves in a random direction by growing distances."""
    titles = [f"{w.scale:g} × std" if w.scale else "reconstruction" for w in windows]
    cells = [Cell(title, w.array) for title, w in zip(titles, windows, strict=True)]
    return draw_groups([(window_name(windows[0]), cells)], config)


def draw_samples(windows: Sequence[Window], config: Representation) -> Figure:
    """Samples of the prior, under their label, in rows of similar length."""
    rows = -(-len(windows) // MAX_COLUMNS)
    cells = [Cell(w.label or f"sample {i + 1}", w.array) for i, w in enumerate(windows)]
    return draw_groups([("", cells)], config, -(-len(windows) // rows))


def draw_transfers(originals: Sequence[Window], transfers: Sequence[Window], config: Representation) -> Figure:
    """The first original and its transfers to every label, then each other original and its transfer."""
    rows: list[list[Cell]] = []
    for original in originals:
        targets = [w for w in transfers if w.index == original.index]
        if targets:
            source = Cell(original.label or "original", original.array, is_original=True)
            rows.append([source, *(Cell(f"as {style.isolate(w.label)}", w.array) for w in targets)])
    groups = [(f"{window_name(originals[0])} under every label", rows[0])] if rows else []
    if len(rows) > 1:
        groups.append(("others under another label", [cell for row in rows[1:] for cell in row]))
    return draw_groups(groups, config, 2 * (MAX_COLUMNS // 2))


def select_evenly(windows: Sequence[Window], number: int) -> list[Window]:
    """At most `number` windows, evenly spaced, with the first and the last."""
    if len(windows) <= number:
        return list(windows)
    return [windows[round(i)] for i in np.linspace(0, len(windows) - 1, number)]


def draw_groups(groups: Sequence[Group], config: Representation, columns: int = MAX_COLUMNS) -> Figure:
    """Groups one below the other, each in as many rows as it needs. A waveform is above its spectrogram."""
    columns = min(columns, max(len(cells) for _, cells in groups))
    rows: list[Group] = []
    for heading, cells in groups:
        rows += [("" if i else heading, cells[i : i + columns]) for i in range(0, len(cells), columns)]
    is_mel = isinstance(config, MelConfig)
    heights = [1.25] if is_mel else [0.6, 1.1]
    gaps = [0.62 if heading else 0.32 for heading, _ in rows[1:]]
    row_gaps = gaps if is_mel else [gap for row in [*gaps, 0.0] for gap in (0.1, row)][: 2 * len(rows) - 1]
    width = min(2.3, (MAX_WIDTH - COLUMN_GAP * (columns - 1)) / columns)
    top = 0.6 if rows[0][0] else 0.3
    grid = FigureGrid([width] * columns, heights * len(rows), right=0.8, top=top, row_gaps=row_gaps)
    limit = window_plots.amplitude_limit(*(cell.array for _, cells in rows for cell in cells))
    for row, (heading, cells) in enumerate(rows):
        top_row = len(heights) * row
        if heading:
            fitted = style.fit_width(heading, grid.width - 1.4, TITLE_SIZE, is_bold=True)
            grid.heading(top_row, fitted)
        for column, cell in enumerate(cells):
            sides = ("x" if row + 1 == len(rows) else "") + ("" if column else "y")
            axes = [grid.axes(top_row + i, column) for i in range(len(heights))]
            set_title(axes[0], cell.title, width, is_bold=cell.is_original)
            color = style.INK if cell.is_original else style.ACCENT
            image, _ = window_plots.window(axes, cell.array, config, limit, color, sides)
    label = window_plots.PEAK_DB_LABEL if is_mel else window_plots.FULL_SCALE_LABEL
    grid.colorbar(image, columns - 1, label)
    return grid.figure
