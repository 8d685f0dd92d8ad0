"""Command `study search`, and what `study show` and `study table` print of a search."""

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.study import Name, status_display, study, suggest_command, write_csv
from pipeline.core import process, workspace

if TYPE_CHECKING:
    from pipeline.studies.search import SearchRun, Trial


@study.command("search")
def search_study(
    name: Name,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of trials, finished ones included; by default that of the file.")
    ] = None,
) -> None:
    """Search for the params with the lowest validation error.

    Then build everything with them. Optuna proposes the values of each trial, which DVC's queue trains; bad trials end
    early. The same command continues a search that was stopped.
    """
    from pipeline.studies import commit, runner
    from pipeline.studies.search import SearchRun

    os.chdir(workspace.root())
    run = SearchRun(name, commit.snapshot())
    say = cache(typer.echo)  # each trial would repeat a warning
    try:
        with workspace.hold_lock(workspace.state_folder() / "locks" / f"search-{name}", f"searching {name}"):
            for trial in run.run(trials or run.search.trials, say):
                workspace.say(_format(run, trial))
            best = run.best_experiment()
            with status_display(name) as display:
                for states in runner.run_study([best], run.base, None, 1, say):
                    display(states)
    except KeyboardInterrupt:
        process.exit_with_error(
            f"the running trial goes on: `melisma study search {name}` continues the search, `dvc queue stop --kill` "
            "stops the trial",
            130,
        )
    write_search(run)
    if states["best"].status != "done":
        process.exit_with_error(f"{best.full_name}: {states['best'].status}: {states['best'].detail}", 1)


def show_search(name: str, as_json: bool) -> None:
    """Print the trials of a search."""
    from pipeline.studies import commit
    from pipeline.studies.search import SearchRun

    run = SearchRun(name, commit.snapshot())
    found = run.trials()
    if as_json:
        typer.echo(json.dumps([trial.flat() for trial in found], indent=2))
        return
    wanted = max(run.search.trials, len(found))  # more after --trials
    typer.echo(f"search of {run.search.metric} of {run.variant}: {len(found)} of {wanted} trials")
    for trial in found:
        typer.echo(_format(run, trial))
    suggest_command(name, "search", len(found) == wanted)


def _format(run: "SearchRun", trial: "Trial") -> str:
    """A line for a trial."""
    from pipeline.report.formatting import plural
    from pipeline.studies.results import format_setting

    result = "" if trial.value is None else f"{run.search.metric} {trial.value:.6g}, "
    if trial.status == "pruned":
        result = f"ended early, after {plural(trial.epochs, 'epoch')}, at {result}"
    if trial.status == "failed":
        result = f"failed ({trial.error}), "
    names = run.short_keys
    return f"trial {trial.number}: {result}" + ", ".join(
        f"{names[key]} {format_setting(value)}" for key, value in trial.settings.items()
    )


def write_search(run: "SearchRun") -> None:
    """Write the files of a search, and print its best trial, with the results of its experiment if it has any."""
    from pipeline.studies import results, runner, search_figure, table

    found = run.trials()
    if not found:
        suggest_command(run.name, "search", False)
        return
    best = run.best_experiment()
    rows = results.read_rows([best], runner.find_results([best], run.base), run.base)
    folder = workspace.DATA / "studies" / run.name
    with workspace.output(folder) as out:
        write_csv([trial.flat() for trial in found], out / "search.csv")
        search_figure.draw(run.search, run.short_keys, found, out / "search.png")
    if rows:
        typer.echo(table.format_text(rows), nl=False)
    typer.echo(f"best is {_format(run, run.best())}")
    changes = [
        f"-S '++{key.replace('models.*.', f'models.{run.variant}.')}={json.dumps(value, separators=(',', ':'))}'"
        for key, value in best.settings.items()
    ]
    typer.echo(f"to apply it: dvc exp run {' '.join(changes)}")
    typer.echo(", ".join(str(path) for path in sorted(folder.iterdir())))
