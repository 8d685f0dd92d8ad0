"""Command `board`: a leaderboard of several builds."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import app


@app.command()
def board(
    files: Annotated[list[Path], typer.Argument(metavar="RESULTS.json", help="data/report/results.json of builds.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")] = Path("board"),
) -> None:
    """Write one table of the results of several builds.

    DIR gets index.html and board.csv. Builds compare if they score the same test windows by the same protocol; a file
    that does not compare is refused. The table shows each file by its name, so name it after who sent it.
    """
    from pipeline.board.build import build

    rows = build(files, out)
    typer.echo(f"{len(rows)} rows of {len(files)} file{'s' * (len(files) != 1)}: {out / 'index.html'}")
