"""Command `gc`: what can be removed."""

import json
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace

if TYPE_CHECKING:
    from pipeline.gc.files import Unused


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what nothing refers to, and with --yes remove it.

    That is kept trainings, checkpoints, half-built caches and downloads in .melisma; results in data/ of variants that
    params.yaml has no more; runs in mlflow.db, with their artifacts. What the workspace, a commit or an experiment in
    Git refers to stays, and `dvc gc` cleans DVC's own cache.
    """
    from pipeline.gc import project
    from pipeline.sources.progress import size

    os.chdir(workspace.root())
    with project.quiet() if yes else nullcontext():
        found = project.find()
        if yes:
            project.remove(found.items)
    total = sum(item.bytes for item in found.items)
    if as_json:
        items = [_plain(item) for item in found.items]
        typer.echo(
            json.dumps(
                {"removed": yes, "bytes": total, "unused": items, "notes": found.notes, "dvc": project.DVC}, indent=2
            )
        )
        return
    widths = [max((len(getattr(item, key)) for item in found.items), default=0) for key in ("kind", "name")]
    for item in found.items:
        typer.echo(f"{item.kind:{widths[0]}}  {item.name:{widths[1]}}  {size(item.bytes):>7}  {item.why}")
    done = "removed" if yes else "can be removed: `melisma gc --yes`"
    number = f"{len(found.items)} thing{'s' * (len(found.items) != 1)}"
    typer.echo(f"{number}, {size(total)}: {done}" if found.items else "nothing is unused")
    for note in found.notes:
        typer.echo(note)
    typer.echo(f"DVC's own cache is not looked at: `{project.DVC}`")


def _plain(item: "Unused") -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "why": item.why, "bytes": item.bytes}
