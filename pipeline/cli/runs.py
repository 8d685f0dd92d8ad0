"""Command `runs`: what MLflow has, in the terminal."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace

if TYPE_CHECKING:
    from pipeline.tracking.search import RunInfo

COLUMNS = "test/mse,test/mel_mse,test/kl,test/cosine_similarity"
EXAMPLE = "test/mse < 0.02 and tags.seed = '0'"
NUMBER = re.compile(r"$|-?\d[\d.e+-]*( (min|s|h)( \d+ (s|min))?)?$|-?inf|nan")
OWN = "variant", "seed", "error"  # tags that are said elsewhere
SHOWN = "name", "status", "started"  # what may be asked for as a column, and is one of each table


@app.command()
def runs(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Show this one: its id, the beginning of it, or its name.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Of this key of `models`.")] = None,
    experiment: Annotated[str | None, typer.Option("--exp", help="Of this DVC experiment.")] = None,
    study: Annotated[str | None, typer.Option(help="Of this study.")] = None,
    status: Annotated[
        Literal["running", "finished", "failed", "killed"] | None,
        typer.Option(help="That ended, or did not, like this."),
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="FILTER", help=f'As MLflow filters: "{EXAMPLE}".')] = None,
    sort: Annotated[
        str, typer.Option(metavar="KEY", help="A metric, name, status or started; -KEY puts the largest first.")
    ] = "-started",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 20,
    columns: Annotated[str, typer.Option(metavar="A,B", help="Metrics, params. and tags. to show.")] = COLUMNS,
    send: Annotated[
        bool, typer.Option("--send", help="Send what stages kept while MLflow was out of reach, and show nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs that MLflow has of this project, newest first, or show one.

    `trained` is the time of all epochs. Names of metrics: step/ train/ valid/ epoch/ test/.
    """
    from pipeline.tracking import outbox
    from pipeline.tracking import search as library

    os.chdir(workspace.root())
    if send:
        sent = outbox.send_pending()
        typer.echo(json.dumps({"sent": sent}) if as_json else f"runs sent: {sent}")
        for line in outbox.count_pending()[1]:
            typer.echo(line, err=True)
        return
    shown = [key.strip() for key in columns.split(",")]
    if number := outbox.count_pending()[0]:
        typer.echo(f"runs that MLflow has not got all of: {number} (`melisma runs --send`)", err=True)
    if run is not None:
        found = library.find_run(run)
        inside = library.artifact_names(found)
        typer.echo(
            json.dumps(_plain(found) | {"artifacts_inside": inside}, indent=2)
            if as_json
            else "\n".join(_one(found, inside))
        )
        return
    conditions = library.build_filter(variant, experiment, study, status, where)
    rows = library.find_runs(conditions, library.build_order(sort), limit + 1)
    if as_json:
        typer.echo(json.dumps([_plain(found) for found in rows[:limit]], indent=2))
    elif rows:
        typer.echo("\n".join(_table([_row(found, shown) for found in rows[:limit]])))
    else:
        typer.echo(
            "no runs" + (" like this" if variant or experiment or study or status or where else " yet"), err=True
        )
    asked = [] if columns == COLUMNS else shown
    for line in library.unknown_keys(rows, [*asked, sort.removeprefix("-")]) if rows else ():
        typer.echo(line, err=True)
    if len(rows) > limit:
        typer.echo(f"there are more than {limit}; --limit shows them", err=True)


def _row(found: "RunInfo", columns: list[str]) -> dict[str, str]:
    """A run's line: what each column holds."""
    values = {key.removeprefix("test/"): found.value(key) for key in columns if key not in SHOWN}
    collapsed = found.tags.get("collapsed", "no")
    notes = [found.tags.get("error", ""), "" if collapsed == "no" else f"collapsed: {collapsed}"]
    return {
        "run": found.name,
        "id": found.id[:8],
        "status": found.status.lower(),
        "experiment": found.tags.get("dvc.exp_name", ""),
        "started": f"{found.started:%Y-%m-%d %H:%M}",
        "trained": _duration(found.trained_seconds),
        **{key: _number(value) if isinstance(value, float) else value or "" for key, value in values.items()},
        "note": "; ".join(note for note in notes if note)[:100],
    }


def _table(rows: list[dict[str, str]]) -> Iterator[str]:
    """Lines of columns, numbers to the right; a column without any value is left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    right = {name for name in names[3:] if all(NUMBER.match(row[name]) for row in rows)}
    for row in [dict(zip(names, names, strict=True)), *rows]:
        cells = (f"{row[name]:{'>' if name in right else '<'}{widths[name]}}" for name in names)
        yield "  ".join(cells).rstrip()


def _one(found: "RunInfo", inside: list[str]) -> Iterator[str]:
    """All of a run."""
    yield f"{found.name}: {found.status.lower()}"
    yield f"  id         {found.id}"
    yield f"  started    {found.started:%Y-%m-%d %H:%M:%S}, trained {_duration(found.trained_seconds) or 'not at all'}"
    if error := found.tags.get("error"):
        yield f"  error      {error} (the traceback is its artifact error.txt)"
    yield f"  artifacts  {found.artifacts}: {', '.join(inside) or 'none'}"
    tags = {key: value for key, value in found.tags.items() if value and key not in OWN}
    ends = {f"{key}{end}" for key in found.metrics for end in ("_low", "_high") if f"{key}_low" in found.metrics}
    metrics = {key: _metric(key, found.metrics) for key in found.metrics if key not in ends}
    for title, values in (("tags", tags), ("params", found.params), ("metrics", metrics)):
        yield title + (": none" if not values else ", with their 95 % intervals" * (title == "metrics" and bool(ends)))
        width = max(map(len, values), default=0)
        yield from (f"  {key:{width}}  {values[key]}" for key in sorted(values))


def _metric(key: str, metrics: dict[str, float]) -> str:
    """The last value, with its interval where it has one."""
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    return _number(metrics[key]) + ("" if low is None or high is None else f"  [{_number(low)}, {_number(high)}]")


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else f"{value:.5g}"


def _plain(found: "RunInfo") -> dict[str, Any]:
    metrics = {key: value if isfinite(value) else None for key, value in found.metrics.items()}
    return asdict(found) | {"started": found.started.isoformat(timespec="seconds"), "metrics": metrics}


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min {rest:02} s"
