"""Command `repro`."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.base import app
from pipeline.core import workspace
from pipeline.core.errors import ParamsError
from pipeline.core.process import exit_with_error

if TYPE_CHECKING:
    from rich.live import Live

    from pipeline.repro.build import Job


@app.command()
def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Build these and what they need; by default all.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Stages at once; by default by cores, memory and memory of a GPU."),
    ] = None,
) -> None:
    """Build what is out of date, as `dvc repro` does, but independent stages side by side.

    The results are the same. If a stage fails, the stages that do not need it run all the same; the exit code is 1.
    """
    from pipeline.core.params import PARAMS_FILE
    from pipeline.repro.build import Build, default_jobs
    from pipeline.repro.graph import outdated_stages
    from pipeline.schema.schema import load

    os.chdir(workspace.root())
    params = load()  # a mistake shows before anything runs
    if not Path(params.source.path).exists():  # also if another source is chosen, since DVC watches this folder
        raise ParamsError(f"{PARAMS_FILE}: source.path: there is no folder {Path(params.source.path).absolute()}")
    jobs = jobs or default_jobs(params.runtime.device, params.train)
    lock = workspace.state_folder() / "locks" / f"repro-{workspace.fingerprint(str(Path.cwd()))}"
    with workspace.hold_lock(lock, "building this project"):
        stages = outdated_stages(targets or [])
        if not stages:
            workspace.say("everything is up to date")
            return
        skipped: list[str] = []
        with _view([stage.name for stage in stages]) as view:
            build = Build(stages, jobs, view)
            try:
                skipped = build.run()
            finally:  # also after Ctrl-C
                failed = [job for job in build.failed if job.outcome == "FAILED"]
                for job in failed:
                    typer.echo(f"{job.stage.name} failed: {job.reason}", err=True)
    if failed:
        not_run = f"; not run, since they need what failed: {', '.join(skipped)}" if skipped else ""
        exit_with_error(f"{len(failed)} of {len(stages)} stages failed{not_run}", 1)


class Lines:
    """Prints each line with the name of its stage before it."""

    def __init__(self, names: list[str]) -> None:
        self.width, self.total, self.ended = max(map(len, names)), len(names), 0

    def on_line(self, job: "Job", line: str) -> None:
        """See `build.View`."""
        self.say(f"{job.stage.name:{self.width}} | {line}")

    def on_end(self, job: "Job") -> None:
        """See `build.View`."""
        self.ended += 1
        Lines.on_line(self, job, f"{job.outcome} after {_clock(job.seconds)}, {self.ended} of {self.total}")

    def on_poll(self, jobs: "Iterable[Job]") -> None:
        """See `build.View`."""

    def say(self, line: str) -> None:
        """Print a line."""
        workspace.say(line)


class Table(Lines):
    """A live table of the running stages. Above it, a line for each that has ended, its warnings, and why it failed."""

    def __init__(self, names: list[str], live: "Live") -> None:
        super().__init__(names)
        self.live, self.start = live, time.monotonic()

    def on_line(self, job: "Job", line: str) -> None:
        """See `build.View`."""
        if "warning" in line.lower():
            super().on_line(job, line)

    def on_end(self, job: "Job") -> None:
        """See `build.View`."""
        for line in job.lines if job.outcome == "FAILED" else []:
            super().on_line(job, line)
        super().on_end(job)

    def on_poll(self, jobs: "Iterable[Job]") -> None:
        """See `build.View`."""
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
def _view(names: list[str]) -> Iterator[Lines]:
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
