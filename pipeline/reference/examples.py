"""Which test windows are shown and which are heard: a few that stand for all."""

from collections.abc import Sequence

import numpy as np


def select_examples(groups: np.ndarray, number: int, taken: Sequence[int] = ()) -> np.ndarray:
    """Indices of `number` windows, or of all where there are fewer, of as many different groups as there are.

    Each is from the middle of its group's rows; when every group has one, the rest are evenly spread over all rows.

    Args:
        groups: (windows,) label or recording of each.
        number: of windows.
        taken: indices that are among them.

    Returns:
        (number,) ascending.
    """
    chosen = list(taken)
    held = set(groups[chosen].tolist())
    others = [rows for name in np.unique(groups) if name not in held and len(rows := np.flatnonzero(groups == name))]
    chosen += [int(others[i][len(others[i]) // 2]) for i in _spread(len(others), number - len(chosen))]
    rest = np.setdiff1d(np.arange(len(groups)), chosen)
    return np.sort([*chosen, *rest[_spread(len(rest), number - len(chosen))]]).astype(int)


def _spread(size: int, number: int) -> np.ndarray:
    """Up to `number` indices below `size`, evenly spread."""
    number = min(max(0, number), size)
    return ((np.arange(number) + 0.5) * size / max(1, number)).astype(int)
