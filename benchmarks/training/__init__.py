"""Speed of training: first step, conventional loop, bare step, and wait for data."""

from benchmarks.measure import Row


def rows() -> list[Row]:
    """All of them, on the device that `auto` picks."""
    # Imported here, since `first_step` is also run as a program.
    from benchmarks.training import bare_step, conventional, data_wait, first_step

    modules = (first_step, conventional, bare_step, data_wait)
    return [row for module in modules for row in module.rows()]
