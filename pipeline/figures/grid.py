"""Axes placed by the inch. Matplotlib's own layouts draw everything once only to measure it, which doubles the time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style

BAR = 0.11  # inches, width of a colour bar


class Sheet:
    """A figure of rows and columns.

    Args:
        widths: of the columns, in inches.
        heights: of the rows.
        left, right, top, bottom: margins, for labels and titles.
        across: inches between columns, one number for all gaps or one for each.
        down: likewise between rows.
    """

    def __init__(
        self,
        widths: Sequence[float],
        heights: Sequence[float],
        *,
        left: float = 0.6,
        right: float = 0.2,
        top: float = 0.3,
        bottom: float = 0.45,
        across: float | Sequence[float] = 0.12,
        down: float | Sequence[float] = 0.32,
    ) -> None:
        self._x, self._widths, width = _places(widths, across, left, right)
        self._y, self._heights, height = _places(heights, down, top, bottom)
        self.width, self.height = width, height
        self.picture = Figure(figsize=(width, height))
        self.picture.set_layout_engine("none")

    def axes(self, row: int, column: int, rows: int = 1, columns: int = 1) -> Axes:
        """New axes in a cell, or over several from there on."""
        x, y = self._x[column], self._y[row]
        width = self._x[column + columns - 1] + self._widths[column + columns - 1] - x
        height = self._y[row + rows - 1] + self._heights[row + rows - 1] - y
        return self._add(x, y, width, height)

    def bar(self, image: Any, column: int, text: str, extend: str = "neither", offset: float = BAR) -> None:
        """The colour bar of `image` so many inches to the right of a column, beside all rows, with its unit."""
        x = self._x[column] + self._widths[column] + offset
        ax = self._add(x, self._y[0], BAR, self._y[-1] + self._heights[-1] - self._y[0])
        tip = 1.5 * BAR / (ax.get_position().height * self.height)  # of an end that is open, in parts of the bar
        bar = self.picture.colorbar(image, cax=ax, extend=extend, extendfrac=tip)
        bar.set_label(text)
        bar.outline.set_visible(False)

    def heading(self, row: int, text: str, above: float = 0.34) -> None:
        """Bold text over a whole row, so many inches above it."""
        y = 1 - (self._y[row] - above) / self.height
        self.picture.text(self._x[0] / self.width, y, text, va="baseline", fontsize=9.5, fontweight="bold")

    def width_of(self, column: int) -> float:
        """Inches of a column."""
        return float(self._widths[column])

    def _add(self, x: float, y: float, width: float, height: float) -> Axes:
        place = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.picture.add_axes(place)


def title(ax: Axes, text: str, inches: float, is_bold: bool = False) -> None:
    """A title that keeps to its own column: one that is too long loses its middle."""
    weight = "bold" if is_bold else "normal"
    ax.set_title(style.fit(text, inches, 9.5, is_bold), fontweight=weight)


def _places(
    sizes: Sequence[float], gaps: float | Sequence[float], before: float, after: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Where each column begins, the sizes, and the whole."""
    between = np.broadcast_to(np.asarray(gaps, float), (len(sizes) - 1,))
    starts = before + np.concatenate([[0.0], np.cumsum(np.asarray(sizes[:-1], float) + between)])
    return starts, np.asarray(sizes, float), float(starts[-1] + sizes[-1] + after)
