"""Speed of training: the first step, against the usual way and the bare step, the wait for data, and a GPU's use."""

from benchmarks.measure import Row


def rows() -> list[Row]:
    """All of it, on the device that `auto` picks."""
    from benchmarks.training import bare, first, usual, utilisation, waiting  # here: `first` is a program too

    return [row for part in (first, usual, bare, waiting, utilisation) for row in part.rows()]
