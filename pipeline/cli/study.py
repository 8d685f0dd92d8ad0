"""Commands `study list`, `show`, `run` and `table`."""

import os
from typing import Annotated

import typer

from pipeline import workspace
from pipeline.cli.base import app

study = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run experiments that belong together.")
app.add_typer(study, name="study")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A file of studies/, without its suffix.")]


@study.command("run")
def run_study(
    name: Name,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Experiments at once.")] = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Names of experiments; all by default.")] = None,
) -> None:
    """Run what of a study is not finished, and follow it.

    Ctrl-C stops following, not the experiments; the same command follows them again. Exit code 1 if one failed.
    """
    from pipeline.studies import run

    os.chdir(workspace.root())
    wanted = run.chosen(name, only.split(",") if only else None)
    last: dict[str, object] = {}

    def told(states: run.States) -> None:
        for each, state in states.items():
            if last.get(each) != state:
                typer.echo(f"{each}: {state.status} {state.detail}")
                last[each] = state

    states, _ = run.run(wanted, jobs or run.jobs(), told, typer.echo)
    raise typer.Exit(int(any(state.status != "done" for state in states.values())))
