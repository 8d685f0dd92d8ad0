"""Command `runs`: the runs that MLflow has, in the terminal."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.text import align

if TYPE_CHECKING:
    from pipeline.tracking.search import RunInfo

DEFAULT_COLUMNS = "test/mse,test/mel_mse,test/kl,test/cosine_similarity"
FIXED_COLUMNS = "name", "status", "started"  # every table has them
EXAMPLE = "test/mse < 0.02 and tags.seed = '0'"
HIDDEN_TAGS = "variant", "seed", "error"  # shown elsewhere


@app.command()
def runs(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Show this run: its id, the beginning of it, or its name.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Only of this key of `models`.")] = None,
    experiment: Annotated[str | None, typer.Option("--exp", help="Only of this DVC experiment.")] = None,
    study: Annotated[str | None, typer.Option(help="Only of this study.")] = None,
    status: Annotated[
        Literal["running", "finished", "failed", "killed"] | None, typer.Option(help="Only with this status.")
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="FILTER", help=f'A filter of MLflow: "{EXAMPLE}".')] = None,
    sort: Annotated[
        str, typer.Option(metavar="KEY", help="A metric, name, status or started; -KEY puts the largest first.")
    ] = "-started",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Largest number of runs.")] = 20,
    columns: Annotated[str, typer.Option(metavar="A,B", help="Metrics, params. and tags. to show.")] = DEFAULT_COLUMNS,
    send: Annotated[
        bool, typer.Option("--send", help="Only send what MLflow lacks: all runs if its database is new.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs in MLflow, newest first, or show one.

    `trained` is the time of all epochs. Names of metrics begin with step/, train/, valid/, epoch/ or test/.
    """
    from pipeline.tracking import publish, search, store
    from pipeline.tracking.run_folder import run_folders

    os.chdir(workspace.root())
    if send:
        sent, errors = publish.send_pending()
        typer.echo(json.dumps({"sent": sent}) if as_json else f"runs sent: {sent}")
        for line in publish.count_pending()[1]:
            typer.echo(line, err=True)
        if errors:
            raise MelismaError("; ".join(errors))
        return
    keys = [key.strip() for key in columns.split(",")]
    if number := publish.count_pending()[0]:
        typer.echo(f"runs that are not completely in MLflow: {number} (`melisma runs --send`)", err=True)
    if run is not None:
        info = search.find_run(run)
        typer.echo(json.dumps(_to_json(info), indent=2) if as_json else "\n".join(_run_lines(info)))
        return
    conditions = search.build_filter(variant, experiment, study, status, where)
    infos = search.find_runs(conditions, search.build_order(sort), limit + 1)
    if as_json:
        typer.echo(json.dumps([_to_json(info) for info in infos[:limit]], indent=2))
    elif infos:
        typer.echo("\n".join(_table_lines([_row(info, keys) for info in infos[:limit]])))
    elif not conditions and (number := sum(folder.meta.get("store") == store.store_name() for folder in run_folders())):
        typer.echo(f"MLflow has no runs, but .melisma/runs has {number}: `melisma runs --send` sends them", err=True)
    else:
        typer.echo(f"no runs {'like this' if conditions else 'yet'}", err=True)
    own_keys = [] if columns == DEFAULT_COLUMNS else keys
    for line in search.unknown_keys(infos, [*own_keys, sort.removeprefix("-")]) if infos else ():
        typer.echo(line, err=True)
    if len(infos) > limit:
        typer.echo(f"there are more than {limit}; --limit shows them", err=True)


def _row(info: "RunInfo", keys: list[str]) -> dict[str, str]:
    """The cells of a run's line, by column."""
    values = {key.removeprefix("test/"): info.value(key) for key in keys if key not in FIXED_COLUMNS}
    collapsed = info.tags.get("collapsed", "no")
    notes = [info.tags.get("error", ""), "" if collapsed == "no" else f"collapsed: {collapsed}"]
    return {
        "run": info.name,
        "id": info.id[:8],
        "status": info.status.lower(),
        "experiment": info.tags.get("dvc.exp_name", ""),
        "started": f"{info.started:%Y-%m-%d %H:%M}",
        "trained": _format_duration(info.trained_seconds),
        **{key: _format_number(value) if isinstance(value, float) else value or "" for key, value in values.items()},
        "note": shorten("; ".join(note for note in notes if note), 100, placeholder=" …"),
    }


def _table_lines(rows: list[dict[str, str]]) -> list[str]:
    """Aligned columns; a column without any value is left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    return align([names, *([row[name] for name in names] for row in rows)])


def _run_lines(info: "RunInfo") -> Iterator[str]:
    """All about one run."""
    yield f"{info.name}: {info.status.lower()}"
    yield f"  id         {info.id}"
    trained = _format_duration(info.trained_seconds) or "not at all"
    yield f"  started    {info.started:%Y-%m-%d %H:%M:%S}, trained {trained}"
    yield f"  model      {info.model or 'none'}"
    if error := info.tags.get("error"):
        yield f"  error      {error} (the traceback is its artifact error.txt)"
    yield f"  artifacts  {info.artifacts}"
    tags = {key: value for key, value in info.tags.items() if value and key not in HIDDEN_TAGS}
    bounds = {f"{key}{end}" for key in info.metrics for end in ("_low", "_high") if f"{key}_low" in info.metrics}
    metrics = {key: _format_metric(key, info.metrics) for key in info.metrics if key not in bounds}
    for title, values in (("tags", tags), ("params", info.params), ("metrics", metrics)):
        suffix = ", with their 95 % intervals" if title == "metrics" and bounds else ""
        yield title + (suffix if values else ": none")
        width = max(map(len, values), default=0)
        yield from (f"  {key:{width}}  {values[key]}" for key in sorted(values))


def _format_metric(key: str, metrics: dict[str, float]) -> str:
    """The last value, with its interval if it has one."""
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    interval = "" if low is None or high is None else f"  [{_format_number(low)}, {_format_number(high)}]"
    return _format_number(metrics[key]) + interval


def _format_number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.5g}"


def _format_duration(seconds: float | None) -> str:
    from pipeline.report.formatting import NBSP, duration

    return "" if seconds is None else duration(seconds).replace(NBSP, " ")


def _to_json(info: "RunInfo") -> dict[str, Any]:
    metrics = {key: value if isfinite(value) else None for key, value in info.metrics.items()}
    return asdict(info) | {"started": info.started.isoformat(timespec="seconds"), "metrics": metrics}
