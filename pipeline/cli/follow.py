"""How a study is followed: a live table on a terminal, elsewhere a line for each change."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from pipeline.report.text import clock

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.studies.queue import State

STYLES = {"running": "bold", "done": "green", "failed": "red", "lost": "red", "queued": "dim"}


@contextmanager
def following(study: str) -> Iterator[Callable[["Mapping[str, State]"], None]]:
    """A function to call with the state of each experiment, as often as there may be something new."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        said: dict[str, tuple[str, str]] = {}

        def tell(states: "Mapping[str, State]") -> None:
            for name, state in states.items():
                stage = state.detail.partition(", epoch ")[0]  # a line for every epoch would be too many
                if said.get(name) != (state.status, stage):
                    said[name] = state.status, stage
                    typer.echo(f"{name}: {state.status}{f', {stage}' if stage else ''}")

        yield tell
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(states: "Mapping[str, State]") -> None:
            live.update(_table(study, states), refresh=True)

        yield show


def _table(study: str, states: "Mapping[str, State]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    counts = [f"{n} {s}" for s in STYLES if (n := sum(state.status == s for state in states.values()))]
    table = Table(title=f"{study}: {', '.join(counts)}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for title in ("experiment", "status", "where", "for"):
        table.add_column(title, no_wrap=title != "where", header_style="dim")
    for name, state in states.items():
        taken = clock(time.time() - state.begun) if state.begun else ""
        table.add_row(name, Text(state.status, style=STYLES.get(state.status, "")), Text(state.detail), taken)
    return table
