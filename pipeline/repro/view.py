"""What a build shows: a line for each line of its stages, or on a terminal a table."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.core import workspace

if TYPE_CHECKING:
    from rich.live import Live

    from pipeline.repro.build import Job


class Lines:
    """Prints each line with the name of its stage before it."""

    def __init__(self, names: list[str]) -> None:
        self.width, self.total, self.ended = max(map(len, names)), len(names), 0

    def on_line(self, job: "Job", line: str) -> None:
        """A stage has printed a line."""
        self.say(f"{job.stage.name:{self.width}} | {line}")

    def on_end(self, job: "Job") -> None:
        """A stage has ended."""
        self.ended += 1
        Lines.on_line(self, job, f"{job.outcome} after {_clock(job.seconds)}, {self.ended} of {self.total}")

    def on_poll(self, jobs: "Iterable[Job]") -> None:
        """The running stages, several times a second."""

    def say(self, line: str) -> None:
        """Print a line."""
        workspace.say(line)


class Table(Lines):
    """A live table of the running stages. Above it, a line for each that has ended, its warnings, and why it failed."""

    def __init__(self, names: list[str], live: "Live") -> None:
        super().__init__(names)
        self.live, self.start = live, time.monotonic()

    def on_line(self, job: "Job", line: str) -> None:
        """See `Lines`."""
        if "warning" in line.lower():
            super().on_line(job, line)

    def on_end(self, job: "Job") -> None:
        """See `Lines`."""
        for line in job.lines if job.outcome == "FAILED" else []:
            super().on_line(job, line)
        super().on_end(job)

    def on_poll(self, jobs: "Iterable[Job]") -> None:
        """See `Lines`."""
        from rich import table
        from rich.text import Text

        title = f"{self.ended} of {self.total} stages in {_clock(time.monotonic() - self.start)}"
        rows = table.Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for column in ("stage", "for", "epoch", "left", "last line"):
            rows.add_column(column, no_wrap=column != "last line", header_style="dim")
        for job in jobs:
            now = time.monotonic()
            epoch = "{} of {}".format(*job.epoch) if job.epoch else ""
            left = _clock(max(0.0, job.training_end - now)) if job.training_end else ""
            last = Text(job.lines[-1].strip() if job.lines else "", no_wrap=True, overflow="ellipsis")
            rows.add_row(job.stage.name, _clock(now - job.started), epoch, left, last)
        self.live.update(rows, refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the table."""
        self.live.console.print(line, soft_wrap=True)


@contextmanager
def open_view(names: list[str]) -> Iterator[Lines]:
    """A live table on a terminal, else lines."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield Lines(names)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Table(names, live)


def _clock(seconds: float) -> str:
    """Such as 0:01:40."""
    return str(timedelta(seconds=round(seconds)))
