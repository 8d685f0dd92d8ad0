"""Commands on the project: `params` and `doctor`."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace


@app.command()
def params(
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only check, print nothing.")] = False,
    study: Annotated[str | None, typer.Option(help="Take the params as studies/<STUDY>.yaml changes them.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file, which may be params.yaml itself.")] = None,
    explain: Annotated[
        str | None, typer.Option(metavar="KEY", help="Say what a key or section means, takes and is; changes nothing.")
    ] = None,
) -> None:
    """Check params.yaml, and print it with all defaults filled in.

    Exit code 2, and the first key that is wrong, if it does not hold. KEY is dotted, from the top or any end of it:
    train.epochs, models.mel_conv.bottleneck.latent, bottleneck.latent (of all variants), evaluate (a section).
    """
    import yaml

    from pipeline.cli import explained
    from pipeline.core.errors import ParamsError
    from pipeline.schema import schema
    from pipeline.studies import study as studies

    output = output.absolute() if output else None
    os.chdir(workspace.root())
    if explain is not None:
        if study or output or quiet:
            raise ParamsError("--explain is of params.yaml as it is; leave --study, --output and --quiet out")
        typer.echo(explained.as_json(explain) if as_json else "\n".join(explained.text(explain)))
        return
    values = schema.load(studies.params(study) if study else None).model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    text = json.dumps(values, indent=2) + "\n" if as_json else text
    if output:
        output.write_text(text, encoding="utf-8")  # all of it was read before
    elif not quiet:
        typer.echo(text, nl=False)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine, and say what to do where something is missing.

    Exit code 1 if any check failed.
    """
    from pipeline.cli import doctor as checks

    os.chdir(workspace.root())
    done = []
    for check in checks.run():
        done.append(check)
        if not as_json:
            typer.echo(f"{'ok' if check.ok else 'FAILED':8}{check.name:8}{check.detail}")
            if check.fix:
                typer.echo(f"{'':16}-> {check.fix}")
    passed = all(check.ok for check in done)
    if as_json:
        typer.echo(json.dumps({"ok": passed, "checks": [asdict(check) for check in done]}, indent=2))
    raise typer.Exit(0 if passed else 1)
