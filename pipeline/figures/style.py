"""How figures look: one paper-like style, a colour-blind-safe palette, and PNG files whose bytes repeat."""

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font, LoadFlags
from PIL import Image

INK, MUTED, GRID, ACCENT, REFERENCE = "#1c2126", "#67727e", "#e3e6e9", "#0b6e75", "#9aa3ac"
ERROR, FAINT = "#D55E00", "#c3c9cf"  # what is wrong; the original below a line that follows it
# Okabe and Ito (2008), without black and without yellow, which is faint on white
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#3c4248"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h"]
LEVELS = "magma"  # dB: bright is loud
AMOUNTS = "YlGnBu"  # what counts from 0, as errors and distances: the darker, the more
COMPRESSION = 4  # of PNG: more takes three times as long and saves a fiftieth

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so text is the same on every machine
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": REFERENCE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
}


def look() -> Any:
    """A context in which matplotlib draws in this style, whatever the user's own settings are."""
    settings: Any = {**matplotlib.rcParamsDefault, **RC, "backend": "agg"}
    return matplotlib.rc_context(settings)


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, tied to no window system."""
    return Figure(figsize=(width, height))


def save(picture: Figure, path: Path, dpi: int, is_reduced: bool = False) -> None:
    """Write a PNG; it names no software version, so the same picture has the same bytes.

    Args:
        picture: what to draw.
        path: of the file.
        dpi: resolution.
        is_reduced: to 256 colours, as `reduced` does, which makes a file of spectrograms half as large.
    """
    picture.set_dpi(dpi)
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    content = io.BytesIO()
    image = reduced(canvas) if is_reduced else Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    image.save(content, "PNG", compress_level=COMPRESSION, dpi=(dpi, dpi))
    path.write_bytes(content.getvalue())


def reduced(canvas: FigureCanvasAgg) -> "Image.Image":
    """What was drawn in the colours of spectrograms, lines and text, always the same 256."""
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return image.quantize(palette=_palette(), dither=Image.Dither.NONE)


@cache
def _palette() -> "Image.Image":
    """The colour maps of levels and amounts, and those of lines and text in mixtures with white."""
    parts = [colormaps[LEVELS](np.linspace(0, 1, 112))[:, :3], colormaps[AMOUNTS](np.linspace(0, 1, 64))[:, :3]]
    for color, steps in ((INK, 32), (ACCENT, 24), (ERROR, 12), (MUTED, 12)):
        parts.append(np.linspace(to_rgb(color), (1, 1, 1), steps))
    found = Image.new("P", (1, 1))
    found.putpalette(np.round(255 * np.concatenate(parts)).astype(np.uint8).tobytes())
    return found


def plain(text: str, limit: int = 44) -> str:
    """Text from outside for a figure: a dollar sign stays one, and the middle of a long name is left out."""
    return _shortened(" ".join(text.split()), limit).replace("$", r"\$")


def fit(text: str, inches: float, size: float, is_bold: bool = False) -> str:
    """`plain`, no wider than so many inches at a font size in points."""
    text = " ".join(text.split())
    limit = len(text)
    while limit > 1 and width(_shortened(text, limit), size, is_bold) > inches:
        limit -= 1
    return plain(text, limit)


def width(text: str, size: float, is_bold: bool = False) -> float:
    """Inches that a text takes in a figure, without math."""
    font = _font(is_bold)
    font.set_size(size, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64 / 72


@cache
def _font(is_bold: bool) -> FT2Font:
    weight = "bold" if is_bold else "normal"
    return get_font(findfont(FontProperties(family=RC["font.family"], weight=weight)))


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[: limit - 1 - half]}…{text[len(text) - half :]}"


def label_styles(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) for each label; unique up to 84 labels, and up to 12 the marker alone tells them apart."""
    return {
        label: (OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(sorted(set(labels)))
    }
