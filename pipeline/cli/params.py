"""Command `params`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace
from pipeline.core.errors import ParamsError


@app.command()
def params(
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only check, print nothing.")] = False,
    study: Annotated[str | None, typer.Option(help="The params as changed by studies/<STUDY>.yaml.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file, which may be params.yaml itself.")] = None,
    explain: Annotated[
        str | None, typer.Option(metavar="KEY", help="Explain a key or a section instead: its meaning and value.")
    ] = None,
) -> None:
    """Check params.yaml, and print it with all defaults filled in.

    If a key is wrong, name the first one and end with exit code 2. KEY is dotted, from the top or any end of it:
    train.epochs, models.mel_conv.bottleneck.latent, bottleneck.latent (of all variants), evaluate (a section).
    """
    import yaml

    from pipeline.schema import explain as explanations
    from pipeline.schema import schema
    from pipeline.studies import study as studies

    output = output.absolute() if output else None
    os.chdir(workspace.root())
    if explain is not None:
        if study or output or quiet:
            raise ParamsError("--explain reads params.yaml as it is; leave out --study, --output and --quiet")
        entries = explanations.explain(explain)
        keys = [key for entry in entries for key in entry.get("keys") or [entry]]
        typer.echo(json.dumps(keys, indent=2) if as_json else "\n".join(explanations.to_lines(entries)))
        return
    values = schema.load(studies.study_params(study) if study else None).model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    text = json.dumps(values, indent=2) + "\n" if as_json else text
    if output:
        output.write_text(text, encoding="utf-8")
    elif not quiet:
        typer.echo(text, nl=False)
