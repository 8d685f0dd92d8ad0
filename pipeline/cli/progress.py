"""How far a long recording was read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from tqdm import tqdm

SAID = 60.0  # seconds between two lines where there is no terminal
BAR = "{desc}: {n:.0f} of {total:.0f} s |{bar}| {elapsed}<{remaining}"


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[Path, float, float], None]]:
    """A function to call with a file, its seconds so far and all of them: a bar, or a line a minute; on standard error.

    Args:
        quiet: show nothing.
    """
    said = time.monotonic()
    with tqdm(total=1.0, delay=1, leave=False, bar_format=BAR, disable=True if quiet else None) as bar:

        def on_read(path: Path, done: float, total: float) -> None:
            nonlocal said
            if not bar.disable:
                bar.set_description_str(path.name, refresh=False)
                bar.total, bar.n = max(total, done), done
                bar.refresh()
            elif not quiet and time.monotonic() - said >= SAID:
                said = time.monotonic()
                typer.echo(f"  {path.name}: {done:.0f} of {total:.0f} s", err=True)

        yield on_read
