"""A figure with axes at fixed positions in inches.

Matplotlib's own layouts draw a figure once only to measure it, which doubles the time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figures import style

COLORBAR_WIDTH = 0.11  # inches
TITLE_SIZE = 9.5  # points
HEADING_HEIGHT = 0.34  # inches from the axes of a row to its heading


class FigureGrid:
    """A figure of columns with `widths` and rows with `heights`; all sizes are in inches.

    The margins left, right, top and bottom hold labels and titles. Gaps are one number for all, or one for each.
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
        column_gaps: float | Sequence[float] = 0.12,
        row_gaps: float | Sequence[float] = 0.32,
    ) -> None:
        self._x, self.widths, self.width = _positions(widths, column_gaps, left, right)
        self._y, self._heights, self.height = _positions(heights, row_gaps, top, bottom)
        self.figure = Figure(figsize=(self.width, self.height))
        self.figure.set_layout_engine("none")

    def axes(self, row: int, column: int, rows: int = 1) -> Axes:
        """New axes that start in a cell and cover `rows` cells of its column."""
        y, last = self._y[row], row + rows - 1
        return self._add(self._x[column], y, self.widths[column], self._y[last] + self._heights[last] - y)

    def colorbar(
        self, image: Any, column: int, text: str, extend: str = "neither", offset: float = COLORBAR_WIDTH
    ) -> None:
        """Add the colour bar of `image`, `offset` inches to the right of a column, as high as all rows."""
        x = self._x[column] + self.widths[column] + offset
        ax = self._add(x, self._y[0], COLORBAR_WIDTH, self._y[-1] + self._heights[-1] - self._y[0])
        tip = 1.5 * COLORBAR_WIDTH / (ax.get_position().height * self.height)  # length of an open end
        bar = self.figure.colorbar(image, cax=ax, extend=extend, extendfrac=tip)
        bar.set_label(text)
        bar.outline.set_visible(False)

    def heading(self, row: int, text: str) -> None:
        """Add bold text over a whole row."""
        y = 1 - (self._y[row] - HEADING_HEIGHT) / self.height
        self.figure.text(self._x[0] / self.width, y, text, va="baseline", fontsize=TITLE_SIZE, fontweight="bold")

    def _add(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)


def set_title(ax: Axes, text: str, inches: float, is_bold: bool = False) -> None:
    """Set a title that fits in `inches`; a longer one loses its middle."""
    fitted = style.fit_width(text, inches, TITLE_SIZE, is_bold)
    ax.set_title(fitted, fontweight="bold" if is_bold else "normal")


def _positions(
    sizes: Sequence[float], gaps: float | Sequence[float], before: float, after: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Start of each cell, size of each cell, and total size."""
    all_gaps = np.broadcast_to(np.asarray(gaps, float), (len(sizes) - 1,))
    starts = before + np.concatenate([[0.0], np.cumsum(np.asarray(sizes[:-1], float) + all_gaps)])
    return starts, np.asarray(sizes, float), float(starts[-1] + sizes[-1] + after)
