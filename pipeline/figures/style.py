"""Style of all figures: fonts, a colour-blind-safe palette, and PNG files with reproducible bytes."""

import io
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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

from pipeline.figures import fonts

INK, MUTED, GRID, ACCENT, REFERENCE = "#1c2126", "#67727e", "#e3e6e9", "#0b6e75", "#9aa3ac"
ERROR, FAINT = "#D55E00", "#c3c9cf"  # errors; a line that lies below another one
# Okabe and Ito (2008) without black, and without yellow, which is too light on white
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#3c4248"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h"]
DB_COLORS = "magma"  # bright is loud
AMOUNT_COLORS = "YlGnBu"  # errors and distances: dark is large
ISOLATE, END_ISOLATE = "\u2068", "\u2069"
PNG_COMPRESSION = 4  # a higher level takes three times as long and saves 2 %

RC: dict[str, Any] = {
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
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
}


@contextmanager
def paper_style(texts: Iterable[str] = ()) -> Iterator[None]:
    """A context in which matplotlib uses this style and no settings of the user.

    Letters of `texts`, the user's texts in the figures, may come from other installed fonts. If none has a letter,
    one line says so instead of matplotlib's warning for each text.
    """
    families, missing = fonts.choose_families(texts)
    settings: Any = {**matplotlib.rcParamsDefault, **RC, "font.family": families, "backend": "agg"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        if missing:
            fonts.warn(missing)
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a PNG without the version of any software, so equal figures have equal bytes.

    A figure with a spectrogram or a matrix has 256 colours (see `to_palette`), which halves the file.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = to_palette(canvas) if any(ax.images for ax in figure.axes) else _to_rgb(canvas)
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=PNG_COMPRESSION, dpi=(dpi, dpi))
    path.write_bytes(content.getvalue())


def to_palette(canvas: FigureCanvasAgg) -> Image.Image:
    """The canvas in 256 fixed colours for spectrograms, lines and text."""
    return _to_rgb(canvas).quantize(palette=_palette(), dither=Image.Dither.NONE)


def _to_rgb(canvas: FigureCanvasAgg) -> Image.Image:
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


@cache
def _palette() -> Image.Image:
    """Both colour maps, and the colours of lines and text mixed with white."""
    parts = [
        colormaps[DB_COLORS](np.linspace(0, 1, 112))[:, :3],
        colormaps[AMOUNT_COLORS](np.linspace(0, 1, 64))[:, :3],
    ]
    for color, steps in ((INK, 32), (ACCENT, 24), (ERROR, 12), (MUTED, 12)):
        parts.append(np.linspace(to_rgb(color), (1, 1, 1), steps))
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.round(255 * np.concatenate(parts)).astype(np.uint8).tobytes())
    return palette


def shorten(text: str, limit: int = 44) -> str:
    """Text of a user for a figure: at most `limit` characters, without the middle if longer; `$` starts no math."""
    return _without_middle(_one_line(text), limit).replace("$", r"\$")


def fit_width(text: str, inches: float, size: float, is_bold: bool = False) -> str:
    """`shorten` to a width in inches at a font size in points."""
    line = _one_line(text)
    limit = len(line)
    while limit > 1 and text_width(_without_middle(line, limit), size, is_bold) > inches:
        limit -= 1
    return shorten(text, limit)


def text_width(text: str, size: float, is_bold: bool = False) -> float:
    """Width of a text without math, in inches, at a font size in points."""
    font = _font(tuple(matplotlib.rcParams["font.family"]), is_bold)
    font.set_size(size, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return float(font.get_width_height()[0]) / 64 / 72


@cache
def _font(families: tuple[str, ...], is_bold: bool) -> FT2Font:
    weight = "bold" if is_bold else "normal"
    return get_font([findfont(FontProperties(family=family, weight=weight)) for family in families])


def _one_line(text: str) -> str:
    """A text without line breaks and control characters."""
    printable = "".join(letter for letter in text if letter.isspace() or unicodedata.category(letter) != "Cc")
    return " ".join(printable.split())


def _without_middle(text: str, limit: int) -> str:
    half = (limit - 1) // 2
    return f"{text[: limit - 1 - half]}…{text[len(text) - half :]}" if len(text) > limit else text


def isolate(text: str) -> str:
    """A label or a path for a longer text: right-to-left letters change the order of no words but their own."""

    def is_rtl(part: str) -> bool:
        return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in part)

    return "/".join(f"{ISOLATE}{part}{END_ISOLATE}" if is_rtl(part) else part for part in text.split("/"))


def label_styles(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) for each label: unique up to 84 labels; up to 12 labels, the marker alone is unique."""
    return {
        label: (OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(sorted(set(labels)))
    }
