"""Commands `study list`, `study show`, `study run` and `study table`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import process, workspace
from pipeline.core.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.studies.study import Experiment

study = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run experiments that belong together.")
app.add_typer(study, name="study")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A file of studies/, without its suffix.")]


@study.command("list")
def list_(as_json: AsJson = False) -> None:
    """The studies that there are, with the first sentence of each file."""
    from pipeline.studies import study as files

    os.chdir(workspace.root())
    found = []
    for name in files.names():
        try:
            number, about = len(files.experiments(name)), files.about(name)
        except ParamsError as error:  # of params.yaml as it is now; the others are to be seen all the same
            number, about = 0, f"does not fit: {error}"
        found.append({"study": name, "experiments": number, "about": about})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    wide = max((len(str(one["study"])) for one in found), default=0)
    for one in found:
        typer.echo(f"{one['study']:{wide}}  {one['experiments']:3}  {one['about']}")


@study.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """The experiments of a study: what each changes, and where it stands."""
    from pipeline.studies import run

    os.chdir(workspace.root())
    wanted = run.chosen(name, None)
    states = run.states(wanted)
    if as_json:
        found = [{"name": one.name, "settings": one.settings, "status": states[one.name].status} for one in wanted]
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"variants: {', '.join(wanted[0].raw['models'])}")
    wide = max(len(one.name) for one in wanted)
    for one in wanted:
        said = ", ".join(f"{key}: {value}" for key, value in one.settings.items())
        typer.echo(f"{one.name:{wide}}  {states[one.name].status or 'not run':7}  {said}".rstrip())
    if any(state.status == "done" for state in states.values()):
        typer.echo("done: with these params and this code; whether recordings have changed is not looked at", err=True)


@study.command("run")
def run_study(
    name: Name,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="Experiments at once; by default one on a GPU, else one for every four cores."
        ),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Names of experiments; all by default.")] = None,
) -> None:
    """Run through DVC's queue what of a study is not finished, follow it, and sum it up.

    Ctrl-C ends the following and not the experiments; the same command goes on from wherever they stand. Exit code 1 if
    one failed; the others are run all the same.
    """
    from pipeline.cli.follow import following
    from pipeline.studies import commit, run, runs

    os.chdir(workspace.root())
    # Both are taken once: hours later the files may be others.
    every, changed = run.chosen(name, None), commit.base()
    wanted = run.chosen(name, [one.strip() for one in only.split(",")]) if only else every
    try:
        with following(name) as told:
            states = run.run(wanted, changed, jobs, told, typer.echo)
    except KeyboardInterrupt:
        process.exit_with_error(
            f"no longer followed, but it goes on: `melisma study run {name}` follows again, `dvc queue stop` ends it "
            "after what runs now, `dvc queue stop --kill` at once",
            130,
        )
    if runs.kept():
        runs.note(name, run.revisions(every, changed), every)
        _written(name, every)
    else:
        typer.echo("no table: it is read from MLflow, and tracking.enabled is false", err=True)
    for label, state in states.items():
        if state.status != "done":
            typer.echo(f"{label}: {state.status}: {state.detail}", err=True)
    raise typer.Exit(int(any(state.status != "done" for state in states.values())))


@study.command("table")
def table_(
    name: Name,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write all numbers to this file.")] = None,
) -> None:
    """What a study found, from its runs in MLflow."""
    from pipeline.studies import run, table

    csv = csv.absolute() if csv else None
    os.chdir(workspace.root())
    every = run.chosen(name, None)
    if as_json:
        typer.echo(json.dumps([row.flat() for row in table.read(name, every)], indent=2))
    elif csv:
        csv.write_text(table.as_csv(table.read(name, every)), encoding="utf-8")
    else:
        _written(name, every)


def _written(name: str, every: "list[Experiment]") -> None:
    """Write the files of a study and print its table."""
    from pipeline.studies import summary, table

    rows, files = summary.write(name, every)
    if rows:
        typer.echo(table.text(rows), nl=False)
        typer.echo(", ".join(map(str, files)))
    if lacking := table.uncompared(rows):
        typer.echo(f"not compared, since MLflow lacks the errors of single recordings: {', '.join(lacking)}", err=True)
    if lacking := table.missing(every, rows):
        typer.echo(f"without a result: {', '.join(lacking)}; `melisma study run {name}` runs them", err=True)
