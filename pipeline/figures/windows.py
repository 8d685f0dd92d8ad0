"""Pictures of windows: originals beside reconstructions, samples of the prior, and both over the epochs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure, SubFigure

from pipeline.cache.config import MelConfig, WaveformConfig
from pipeline.figures import panels, style
from pipeline.figures.inputs import Window

ZOOM_SECONDS = 0.05
COLUMNS = 7  # of `progress` at most, the original included
LEVEL_BAR = "dB below the window's peak"
FULL_SCALE_BAR = "dB of full scale"

Pairs = Sequence[tuple[Window, Window]]


def mse(original: Window, reconstruction: Window) -> float:
    """Mean squared error of a pair on the input's own scale."""
    return float(np.mean(np.square(reconstruction.array - original.array, dtype=np.float64)))


def name(window: Window) -> str:
    """A window's recording, or its label where the recording has no name."""
    return style.plain(window.track_id or window.label or f"window {window.number + 1}")


def mel_reconstructions(pairs: Pairs, config: MelConfig) -> Figure:
    """A row for each pair: original, reconstruction, and reconstruction minus original in dB."""
    picture = style.figure(11, 0.6 + 1.95 * len(pairs))
    axes = picture.subplots(len(pairs), 3, sharex=True, sharey=True, squeeze=False)
    for i, (row, (original, reconstruction)) in enumerate(zip(axes, pairs, strict=True)):
        level = panels.mel(row[0], original.array, config)
        panels.mel(row[1], reconstruction.array, config)
        difference = panels.mel(row[2], reconstruction.array - original.array, config, is_difference=True)
        row[0].set_title(name(original))
        row[1].set_title(f"reconstruction, MSE {mse(original, reconstruction):#.3g}", fontweight="normal")
        row[2].set_title("reconstruction − original", fontweight="normal")
        for column, ax in enumerate(row):
            panels.bare(ax, x=i + 1 < len(pairs), y=column > 0)
    _bar(picture, level, list(axes[:, :2].flat), LEVEL_BAR)
    _bar(picture, difference, list(axes[:, 2]), "dB too quiet (−) or too loud (+)")
    return picture


def waveform_reconstructions(pairs: Pairs, config: WaveformConfig) -> Figure:
    """A block for each pair: waveforms and their difference, 50 ms at the loudest place, and both spectrograms."""
    picture = style.figure(12, 3.5 * len(pairs))
    blocks = picture.subfigures(len(pairs), 1, squeeze=False)[:, 0]
    for block, (original, reconstruction) in zip(blocks, pairs, strict=True):
        block.suptitle(
            f"{name(original)}   MSE {mse(original, reconstruction):#.3g}",
            x=0.01,
            ha="left",
            fontsize=9.5,
            fontweight="bold",
        )
        _waveform_block(block, original.array, reconstruction.array, config)
    return picture


def _waveform_block(block: SubFigure, original: np.ndarray, reconstruction: np.ndarray, config: WaveformConfig) -> None:
    grid = block.add_gridspec(6, 3, width_ratios=[1.25, 1, 1.15])
    limit = 1.05 * max(float(np.abs(original).max()), float(np.abs(reconstruction).max()), 1e-3)
    difference = reconstruction - original
    lanes = {
        "original": (original, style.INK),
        "reconstruction": (reconstruction, style.ACCENT),
        "reconstruction − original": (difference, style.OKABE_ITO[1]),
    }
    for i, (title, (array, color)) in enumerate(lanes.items()):
        ax = block.add_subplot(grid[2 * i : 2 * i + 2, 0])
        panels.waveform(ax, array, config, limit, color)
        ax.set_title(title, fontweight="normal")
        panels.bare(ax, x=i < 2)
        if i != 1:
            ax.set_ylabel("")

    length = min(len(original), max(2, round(ZOOM_SECONDS * config.sample_rate)))
    start = int(np.clip(np.abs(original).argmax() - length // 2, 0, len(original) - length))
    cut = slice(start, start + length)
    ax = block.add_subplot(grid[:4, 1])
    panels.waveform(ax, original[cut], config, limit, style.INK, start, width=1.2)
    panels.waveform(ax, reconstruction[cut], config, limit, style.ACCENT, start, width=1.2)
    ax.set_title(f"{1000 * ZOOM_SECONDS:.0f} ms at the loudest place", fontweight="normal")
    panels.bare(ax, x=True)
    ax.set_ylabel("")
    below = block.add_subplot(grid[4:, 1], sharex=ax)
    panels.waveform(below, difference[cut], config, limit, style.OKABE_ITO[1], start, width=1.2)
    below.set_ylabel("")

    spectra: list[Axes] = [block.add_subplot(grid[:3, 2]), block.add_subplot(grid[3:, 2])]
    for ax, array, title in zip(spectra, (original, reconstruction), ("original", "reconstruction"), strict=True):
        image = panels.spectrogram(ax, array, config)
        ax.set_title(title, fontweight="normal")
    panels.bare(spectra[0], x=True)
    _bar(block, image, spectra, FULL_SCALE_BAR)


def samples(windows: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """What the decoder makes of latents drawn from the prior, a column for each."""
    columns = [(f"sample {i + 1}", window.array) for i, window in enumerate(windows)]
    return _columns([columns], config)


def progress(snapshots: Sequence[Window], config: MelConfig | WaveformConfig) -> Figure:
    """The first fixed window: its original, then its reconstruction at some epochs; below, a latent decoded at those.

    Where there are more epochs than fit, evenly spaced ones are shown, the last always.
    """
    first = min(w.number for w in snapshots if w.kind == "original")
    original = next(w for w in snapshots if w.kind == "original" and w.number == first)
    rebuilt = {w.epoch: w.array for w in snapshots if w.kind == "reconstruction" and w.number == first}
    epochs = sorted(rebuilt)
    if len(epochs) > COLUMNS - 1:
        epochs = [epochs[round(i)] for i in np.linspace(0, len(epochs) - 1, COLUMNS - 1)]
    rows: list[list[tuple[str, np.ndarray | None]]] = [
        [("original", original.array), *((f"epoch {epoch}", rebuilt[epoch]) for epoch in epochs)]
    ]
    drawn = [w for w in snapshots if w.kind == "sample"]
    if drawn:
        number = min(w.number for w in drawn)
        decoded = {w.epoch: w.array for w in drawn if w.number == number}
        rows.append([("", None), *((f"sample, epoch {epoch}", decoded.get(epoch)) for epoch in epochs)])
    return _columns(rows, config)


def _columns(rows: Sequence[Sequence[tuple[str, np.ndarray | None]]], config: MelConfig | WaveformConfig) -> Figure:
    """Titled windows in rows and columns, `None` leaving a gap; a waveform has its spectrogram below it."""
    stacked = 1 if config.kind == "mel" else 2
    width = max(3.4, 1.2 + min(2.6, 14 / len(rows[0])) * len(rows[0]))
    picture = style.figure(width, 0.4 + 1.9 * len(rows) * stacked**0.8)
    grid = picture.subplots(len(rows) * stacked, len(rows[0]), squeeze=False)
    limit = 1.05 * max((float(np.abs(a).max()) for row in rows for _, a in row if a is not None), default=1.0)
    image: QuadMesh | None = None
    colored: list[Axes] = []
    for r, row in enumerate(rows):
        for c, (title, array) in enumerate(row):
            cells = grid[r * stacked : (r + 1) * stacked, c]
            if array is None:
                for cell in cells:
                    cell.set_axis_off()
                continue
            leftmost = c == 0 or row[c - 1][1] is None
            lowest = all(other[c][1] is None for other in rows[r + 1 :])
            is_original = title == "original"
            if isinstance(config, MelConfig):
                image = panels.mel(cells[0], array, config)
            else:
                panels.waveform(cells[0], array, config, max(limit, 1e-3), style.INK if is_original else style.ACCENT)
                image = panels.spectrogram(cells[1], array, config)
                panels.bare(cells[0], x=True, y=not leftmost)
            panels.bare(cells[-1], x=not lowest, y=not leftmost)
            cells[0].set_title(title, fontweight="bold" if is_original else "normal")
            colored.append(cells[-1])
    if image is not None:
        _bar(picture, image, colored, LEVEL_BAR if config.kind == "mel" else FULL_SCALE_BAR)
    return picture


def _bar(picture: Figure | SubFigure, image: QuadMesh, axes: Sequence[Axes], text: str) -> None:
    places = [spec for ax in axes if (spec := ax.get_subplotspec()) is not None]
    rows, columns = len({p.rowspan.start for p in places}), len({p.colspan.start for p in places})
    bar = picture.colorbar(image, ax=list(axes), fraction=0.06 / columns, pad=0.03 / columns, aspect=16 * rows)
    bar.set_label(text)
    bar.outline.set_visible(False)
