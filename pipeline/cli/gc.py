"""Command `gc`."""

import json
import os
from contextlib import nullcontext
from typing import Annotated

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace
from pipeline.core.text import align


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it.")] = False,
    as_json: AsJson = False,
) -> None:
    """List unused files and runs; with --yes remove them.

    This covers: stored trainings, checkpoints, runs, partial caches and downloads in .melisma; results in data/ of
    variants that params.yaml lacks; runs in mlflow.db, with their artifacts. Everything to which the workspace, a Git
    commit or an experiment refers is kept. For DVC's own cache use `dvc gc`.
    """
    from pipeline.core.progress import format_bytes
    from pipeline.gc import unused as library

    os.chdir(workspace.root())
    with library.block_dvc() if yes else nullcontext():
        items, notes = library.find_unused()
        if yes:
            library.remove(items)
    total = sum(item.bytes for item in items)
    if as_json:
        rows = [{"kind": i.kind, "name": i.name, "why": i.why, "bytes": i.bytes} for i in items]
        values = {"removed": yes, "bytes": total, "unused": rows, "notes": notes, "dvc": library.DVC_COMMAND}
        typer.echo(json.dumps(values, indent=2))
        return
    for line in align([(item.kind, item.name, format_bytes(item.bytes), item.why) for item in items], right=[2]):
        typer.echo(line)
    number = f"{len(items)} item{'s' * (len(items) != 1)}, {format_bytes(total)}"
    action = "removed" if yes else "can be removed: `melisma gc --yes`"
    typer.echo(f"{number}: {action}" if items else "nothing is unused")
    for note in notes:
        typer.echo(note)
    typer.echo(f"DVC's own cache is not checked: `{library.DVC_COMMAND}`")
