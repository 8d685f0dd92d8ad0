"""Commands `study list`, `study show`, `study run` and `study table`."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import process, workspace
from pipeline.core.errors import ParamsError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.studies.queue import State
    from pipeline.studies.study import Experiment

STATUS_STYLES = {"running": "bold", "done": "green", "failed": "red", "lost": "red", "queued": "dim"}

study = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run experiments that belong together.")
app.add_typer(study, name="study")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A file of studies/, without its suffix.")]


@study.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the studies, with the first sentence of each file."""
    from pipeline.studies import study as files

    os.chdir(workspace.root())
    rows = []
    for name in files.study_names():
        try:
            number, about = len(files.load_experiments(name)), files.first_sentence(name)
        except ParamsError as error:  # it does not fit the present params.yaml; the others may
            number, about = 0, f"does not fit: {error}"
        rows.append({"study": name, "experiments": number, "about": about})
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max((len(str(row["study"])) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row['study']:{width}}  {row['experiments']:3}  {row['about']}")


@study.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """List the experiments of a study: what each one changes, and its status."""
    from pipeline.studies import runner

    os.chdir(workspace.root())
    experiments = runner.select_experiments(name, None)
    states = runner.current_states(experiments)
    if as_json:
        rows = [{"name": e.name, "settings": e.settings, "status": states[e.name].status} for e in experiments]
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"variants: {', '.join(experiments[0].raw['models'])}")
    width = max(len(experiment.name) for experiment in experiments)
    for experiment in experiments:
        status = states[experiment.name].status or "not run"
        settings = ", ".join(f"{key}: {value}" for key, value in experiment.settings.items())
        typer.echo(f"{experiment.name:{width}}  {status:7}  {settings}".rstrip())
    if any(state.status == "done" for state in states.values()):
        typer.echo("done: with these params and this code; changes of the recordings are not checked", err=True)


@study.command("run")
def run_study(
    name: Name,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Experiments at once; by default 1 on a GPU, else 1 per 4 cores."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Names of experiments; by default all.")] = None,
) -> None:
    """Run the unfinished experiments of a study through DVC's queue, show their status, and write the results.

    Ctrl-C stops this display, not the experiments; the same command shows them again. Exit code 1 if an experiment
    failed; the others run all the same.
    """
    from pipeline.studies import commit, mlflow_runs, runner

    os.chdir(workspace.root())
    # Read both once: the files may change while the experiments run for hours.
    experiments, base = runner.select_experiments(name, None), commit.snapshot()
    selected = runner.select_experiments(name, [label.strip() for label in only.split(",")]) if only else experiments
    try:
        with status_display(name) as display:
            states = runner.run_study(selected, base, jobs, display, typer.echo)
    except KeyboardInterrupt:
        process.exit_with_error(
            f"the experiments go on: `melisma study run {name}` shows them again, `dvc queue stop` ends the queue "
            "after the running ones, `dvc queue stop --kill` at once",
            130,
        )
    if mlflow_runs.is_tracking_enabled():
        mlflow_runs.tag_runs(name, commit.find_completed(experiments, base), experiments)
        _write_results(name, experiments)
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
    """Print the results of a study, from its runs in MLflow."""
    from pipeline.studies import results, runner, table

    csv = csv.absolute() if csv else None
    os.chdir(workspace.root())
    experiments = runner.select_experiments(name, None)
    if as_json:
        typer.echo(json.dumps([row.flat() for row in results.read_rows(name, experiments)], indent=2))
    elif csv:
        csv.write_text(table.format_csv(results.read_rows(name, experiments)), encoding="utf-8")
    else:
        _write_results(name, experiments)


def _write_results(name: str, experiments: "list[Experiment]") -> None:
    """Write the files of a study and print its table."""
    from pipeline.studies import results, table

    rows = results.read_rows(name, experiments)
    files = table.write_results(name, rows)
    if rows:
        typer.echo(table.format_text(rows), nl=False)
        typer.echo(", ".join(map(str, files)))
    if names := results.without_comparison(rows):
        typer.echo(f"not compared, since MLflow lacks the errors of single recordings: {', '.join(names)}", err=True)
    if names := results.without_result(experiments, rows):
        typer.echo(f"without a result: {', '.join(names)}; `melisma study run {name}` runs them", err=True)


@contextmanager
def status_display(study: str) -> Iterator[Callable[["Mapping[str, State]"], None]]:
    """A function that shows the state of each experiment: a live table, or without a terminal a line per change."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        printed: dict[str, tuple[str, str]] = {}

        def print_changes(states: "Mapping[str, State]") -> None:
            for name, state in states.items():
                stage = state.detail.partition(", epoch ")[0]  # a line for every epoch would be too many
                if printed.get(name) != (state.status, stage):
                    printed[name] = state.status, stage
                    typer.echo(f"{name}: {state.status}{f', {stage}' if stage else ''}")

        yield print_changes
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda states: live.update(_status_table(study, states), refresh=True)


def _status_table(study: str, states: "Mapping[str, State]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from pipeline.report.formatting import duration

    counts = [f"{n} {s}" for s in STATUS_STYLES if (n := sum(state.status == s for state in states.values()))]
    table = Table(title=f"{study}: {', '.join(counts)}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for title in ("experiment", "status", "where", "for"):
        table.add_column(title, no_wrap=title != "where", header_style="dim")
    for name, state in states.items():
        running_time = duration(time.time() - state.started) if state.started else ""
        style = STATUS_STYLES.get(state.status, "")
        table.add_row(name, Text(state.status, style=style), Text(state.detail), running_time)
    return table
