"""Commands `study list`, `study show`, `study run`, `study table`; `study search` is in `search`."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import process, workspace
from pipeline.core.errors import ParamsError
from pipeline.core.text import align

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.studies.queue import State
    from pipeline.studies.results import Row
    from pipeline.studies.study import Experiment

STATUS_STYLES = {"running": "bold", "done": "green", "failed": "red", "lost": "red", "queued": "dim"}

study = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run experiments that belong together.")
app.add_typer(study, name="study")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A file of studies/, without its suffix.")]


@study.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the studies.

    For each: its experiments, or trials if it is a search, and the first sentence of its file.
    """
    from pipeline.report.formatting import plural
    from pipeline.studies import study as files

    os.chdir(workspace.root())
    rows, lines = [], []
    for name in files.study_names():
        kind, number = "experiment", 0
        try:
            if files.load_study(name).search:
                kind, number = "trial", files.load_search(name)[1].trials
            else:
                number = len(files.load_experiments(name))
            about = _first_sentence(files.FOLDER / f"{name}.yaml")
        except ParamsError as error:  # of the present params.yaml; others may be right
            about = f"error: {error}"
        rows.append({"study": name, f"{kind}s": number, "about": about})
        lines.append([name, plural(number, kind), about])
    typer.echo(json.dumps(rows, indent=2) if as_json else "\n".join(align(lines)))


@study.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """List the experiments of a study, their changes and status."""
    from pipeline.cli.search import show_search
    from pipeline.studies import commit, queue, runner
    from pipeline.studies.study import load_experiments, load_study

    os.chdir(workspace.root())
    if load_study(name).search:
        show_search(name, as_json)
        return
    experiments = load_experiments(name)
    states = runner.read_states(experiments, commit.snapshot(), queue.State(""))
    if as_json:
        rows = [{"name": e.name, "settings": e.settings, "status": states[e.name].status} for e in experiments]
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"variants: {', '.join(experiments[0].raw['models'])}")
    lines = []
    for experiment in experiments:
        settings = ", ".join(f"{key}: {value}" for key, value in experiment.settings.items())
        lines.append([experiment.name, states[experiment.name].status or "not run", settings])
    typer.echo("\n".join(align(lines)))
    are_done = [state.status == "done" for state in states.values()]
    if any(are_done):
        typer.echo("done: with these params and this code; changes of the recordings are not checked", err=True)
    suggest_command(name, "run", all(are_done))


@study.command("run")
def run_study(
    name: Name,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Experiments at once; by default by cores and memory."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="A,B", help="Names of experiments; by default all.")] = None,
) -> None:
    """Run the unfinished experiments of a study, and write the results.

    They run in DVC's queue. Ctrl-C stops this display, not the experiments; the same command shows them again. If an
    experiment fails, the others run all the same; the exit code is 1.
    """
    from pipeline.repro.build import default_jobs
    from pipeline.schema.schema import load
    from pipeline.studies import commit, results, runner
    from pipeline.studies.study import load_experiments, load_study, select_experiments

    os.chdir(workspace.root())
    if load_study(name).search:
        raise ParamsError(f"studies/{name}.yaml: it is a search; `melisma study search {name}` runs it")
    # Read both once: the files may change while the experiments run for hours.
    experiments, base = load_experiments(name), commit.snapshot()
    selected = select_experiments(experiments, [label.strip() for label in only.split(",")]) if only else experiments
    params = load(selected[0].raw)
    workers = jobs or default_jobs(params.runtime.device, params.train)
    try:
        with status_display(name) as display:
            for states in runner.run_study(selected, base, jobs, workers, typer.echo):
                display(states)
    except KeyboardInterrupt:
        process.exit_with_error(
            f"the experiments go on: `melisma study run {name}` shows them again, `dvc queue stop` ends the queue "
            "after the running ones, `dvc queue stop --kill` at once",
            130,
        )
    rows = _read_rows(experiments, base)
    results.tag_runs(name, rows)
    _write_results(name, experiments, rows)
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
    """Print the results of a study.

    DVC keeps them with the experiments.
    """
    from pipeline.cli.search import write_search
    from pipeline.studies import commit
    from pipeline.studies.search import SearchRun
    from pipeline.studies.study import load_experiments, load_study

    csv = csv.absolute() if csv else None
    os.chdir(workspace.root())
    search = SearchRun(name, commit.snapshot()) if load_study(name).search else None
    experiments = load_experiments(name)
    trials = search.trials() if search else []
    rows = [] if search else _read_rows(experiments, commit.snapshot())
    values = [trial.flat() for trial in trials] + [row.flat() for row in rows]
    if as_json:
        typer.echo(json.dumps(values, indent=2))
    elif csv:
        write_csv(values, csv)
    elif search:
        write_search(search)
    else:
        _write_results(name, experiments, rows)


def suggest_command(name: str, command: str, is_done: bool) -> None:
    """Name the next command on standard error: `command` if something is missing, else `table`."""
    command, action = ("table", "shows the results") if is_done else (command, "runs what is missing")
    typer.echo(f"`melisma study {command} {name}` {action}", err=True)


def _first_sentence(file: Path) -> str:
    """The first sentence of the comment at the top of a file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    return comment.partition(". ")[0].removesuffix(".")


def _read_rows(experiments: "list[Experiment]", base: str) -> "list[Row]":
    """The rows of a study's table; a line on standard error names results of other code than `base` has."""
    from pipeline.studies import commit, results, runner

    commits = runner.find_results(experiments, base)
    if names := [name for name, revision in commits.items() if not commit.has_code(revision, base)]:
        typer.echo(f"with older code: {', '.join(names)}", err=True)
    return results.read_rows(experiments, commits, base)


def _write_results(name: str, experiments: "list[Experiment]", rows: "list[Row]") -> None:
    """Write the files of a study and print its table; without rows, do neither."""
    from pipeline.studies import figure, table

    if rows:
        folder = workspace.DATA / "studies" / name
        with workspace.output(folder) as out:
            write_csv([row.flat() for row in rows], out / "table.csv")
            (out / "table.md").write_text(table.format_text(rows, is_markdown=True), encoding="utf-8")
            figure.draw(rows, out / "figure.png")
            figure.draw_rates(rows, out / "rates.png")
        typer.echo(table.format_text(rows), nl=False)
        typer.echo(", ".join(str(path) for path in sorted(folder.iterdir())))
    names = {label for row in rows for label in row.experiments}
    if missing := [experiment.name for experiment in experiments if experiment.name not in names]:
        typer.echo(f"without a result: {', '.join(missing)}; `melisma study run {name}` runs them", err=True)


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """A line for each row with all its numbers, unrounded."""
    import pandas as pd

    columns = None if rows else ["experiment"]
    pd.DataFrame(rows, columns=columns, dtype=object).to_csv(path, index=False, lineterminator="\n")


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
