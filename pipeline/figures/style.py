"""How figures look: one paper-like style, a colour-blind-safe palette, and PNG files whose bytes repeat."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, GRID, ACCENT, REFERENCE = "#1c2126", "#67727e", "#e3e6e9", "#0b6e75", "#9aa3ac"
# Okabe and Ito (2008), without black and without yellow, which is faint on white
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#3c4248"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p", "h"]
LEVELS = "magma"  # dB: bright is loud
SIGNED = "PuOr_r"  # differences: white is none

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


def save(picture: Figure, path: Path, dpi: int) -> None:
    """Write a PNG; it names no software version, so the same picture has the same bytes."""
    picture.savefig(path, dpi=dpi, metadata={"Software": None})


def plain(text: str, limit: int = 44) -> str:
    """Text from outside for a figure: a dollar sign stays one, and the middle of a long name is left out."""
    if len(text) > limit:
        half = (limit - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text.replace("$", r"\$")


def label_styles(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) for each label; unique up to 84 labels, and up to 12 the marker alone tells them apart."""
    return {
        label: (OKABE_ITO[i % len(OKABE_ITO)], MARKERS[i % len(MARKERS)]) for i, label in enumerate(sorted(set(labels)))
    }
