"""Windows side by side: walks between two, perturbations, samples, transfers, and one window over the epochs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.figures import style, window_plots
from pipeline.figures.comparisons import FULL_SCALE_BAR, LEVEL_BAR, name
from pipeline.figures.grid import Sheet, title
from pipeline.figures.variant_data import Window

COLUMNS = 7  # in a line
STEPS = 11  # of a walk at most
SPAN = 12.6  # inches that a full line takes


@dataclass(frozen=True)
class Cell:
    """A window and what stands above it; originals are set apart."""

    title: str
    array: np.ndarray
    is_original: bool = False


@dataclass(frozen=True)
class Strip:
    """Cells that belong together, and what they are."""

    heading: str
    cells: list[Cell | None]  # None leaves a gap


def walks(windows: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """For each walk a line along the straight way between two latents and one along the arc.

    Args:
        windows: of kind linear and slerp.
        config: of the representation.
    """
    found = []
    for number in sorted({w.number for w in windows}):
        for kind in ("linear", "slerp"):
            steps = sorted((w for w in windows if (w.kind, w.number) == (kind, number)), key=lambda w: w.step)
            if steps:
                cells: list[Cell | None] = [Cell(f"{100 * w.scale:.0f} %", w.array) for w in evenly(steps, STEPS)]
                found.append(Strip(f"{way(steps)}, {kind}", cells))
    return draw(found, config, STEPS)


def way(steps: Sequence[Window]) -> str:
    """From where to where a walk goes."""
    ends = [steps[0].label or steps[0].track_id, steps[-1].label or steps[-1].track_id]
    return " → ".join(ends) if all(ends) else f"walk {steps[0].number + 1}"


def perturbations(windows: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """One window with its latent moved at random, ever further."""
    cells: list[Cell | None] = [
        Cell(f"{w.scale:g} × spread" if w.scale else "reconstruction", w.array) for w in windows
    ]
    return draw([Strip(name(windows[0]), cells)], config)


def samples(windows: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """What the decoder makes of latents drawn from the prior, under the label that it was given."""
    lines = -(-len(windows) // COLUMNS)  # as even as they can be
    cells: list[Cell | None] = [Cell(w.label or f"sample {i + 1}", w.array) for i, w in enumerate(windows)]
    return draw([Strip("", cells)], config, -(-len(windows) // lines))


def transfers(originals: Sequence[Window], moved: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """The first original and what it becomes under every label; each further one and what it becomes under another."""
    found: list[list[Cell | None]] = []
    for original in originals:
        mine = [w for w in moved if w.number == original.number]
        if mine:
            own = Cell(original.label or "original", original.array, is_original=True)
            found.append([own, *(Cell(f"as {w.label}", w.array) for w in mine)])
    strips = [Strip(f"{name(originals[0])} under every label", found[0])] if found else []
    if len(found) > 1:
        strips.append(Strip("others under another label", [cell for cells in found[1:] for cell in cells]))
    return draw(strips, config, 2 * (COLUMNS // 2))


def progress(snapshots: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """The first fixed window: its original, then its reconstruction at some epochs; below, a latent decoded at those.

    Where there are more epochs than fit, evenly spaced ones are shown, the last always.
    """
    original, rebuilt = course(snapshots)
    shown = evenly(rebuilt, COLUMNS - 1)
    window: list[Cell | None] = [Cell("original", original.array, is_original=True)]
    window += [Cell(f"epoch {w.epoch}", w.array) for w in shown]
    strips = [Strip(f"A window{f' of label {original.label}' if original.label else ''}", window)]
    drawn = {w.epoch: w.array for w in snapshots if w.kind == "sample" and w.number == 0}
    if drawn:
        below: list[Cell | None] = [None]
        below += [Cell(f"epoch {w.epoch}", drawn[w.epoch]) if w.epoch in drawn else None for w in shown]
        strips.append(Strip("A sample of the prior", below))
    return draw(strips, config)


def course(snapshots: Sequence[Window]) -> tuple[Window, list[Window]]:
    """The first fixed window, and its reconstructions by epoch."""
    original = min((w for w in snapshots if w.kind == "original"), key=lambda w: w.number)
    made = [w for w in snapshots if w.kind == "reconstruction" and w.number == original.number]
    return original, sorted(made, key=lambda w: w.epoch)


def evenly(windows: Sequence[Window], most: int) -> list[Window]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(windows) <= most:
        return list(windows)
    return [windows[round(i)] for i in np.linspace(0, len(windows) - 1, most)]


def draw(strips: Sequence[Strip], config: MelConfig | WaveformConfig, columns: int = COLUMNS) -> Figure:
    """Strips below each other, each in as many lines as it needs; a waveform has its spectrogram below it."""
    columns = min(columns, max(len(strip.cells) for strip in strips))
    lines: list[tuple[str, list[Cell | None]]] = []
    for strip in strips:
        for i in range(0, len(strip.cells), columns):
            lines.append((strip.heading if i == 0 else "", strip.cells[i : i + columns]))
    is_mel = isinstance(config, MelConfig)
    heights = [1.25] if is_mel else [0.6, 1.1]
    gaps = [0.62 if heading else 0.32 for heading, _ in lines[1:]]
    down = gaps if is_mel else [gap for line in [*gaps, 0.0] for gap in (0.1, line)][: 2 * len(lines) - 1]
    width = min(2.3, (SPAN - 0.12 * (columns - 1)) / columns)
    sheet = Sheet([width] * columns, heights * len(lines), right=0.8, top=0.6 if lines[0][0] else 0.3, down=down)
    loudest = max(float(np.abs(cell.array).max(initial=0)) for _, cells in lines for cell in cells if cell)
    image: AxesImage | None = None
    for number, (heading, cells) in enumerate(lines):
        if heading:
            sheet.heading(len(heights) * number, style.fit(heading, sheet.width - 1.4, 9.5, is_bold=True))
        for column, cell in enumerate(cells):
            if cell is None:
                continue
            y = "y" if column == 0 or cells[column - 1] is None else ""
            sides = ("x" if number + 1 == len(lines) else "") + y
            ax = sheet.axes(len(heights) * number, column)
            title(ax, cell.title, width, is_bold=cell.is_original)
            if isinstance(config, MelConfig):
                image = window_plots.mel(ax, cell.array, config, sides)
            else:
                color = style.INK if cell.is_original else style.ACCENT
                window_plots.waveform(ax, cell.array, config.sample_rate, max(1.05 * loudest, 1e-3), color, y)
                ax = sheet.axes(2 * number + 1, column)
                seconds = len(cell.array) / config.sample_rate
                image = window_plots.spectrogram(ax, window_plots.spectrum(cell.array, config), config, seconds, sides)
    if image is not None:
        sheet.bar(image, columns - 1, LEVEL_BAR if is_mel else FULL_SCALE_BAR)
    return sheet.picture
