"""Command `export-test`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import app
from pipeline.core import workspace


@app.command()
def export_test(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Created if missing.")],
    rate: Annotated[
        int | None, typer.Option(min=1000, max=192_000, help="Hz; by default that of the common log-mel.")
    ] = None,
) -> None:
    """Write the test windows as WAV files, for another model.

    Its results, under the same names in data/external/<name>, become a row of the report: docs/external.md.
    """
    from pipeline.apply.output import new_files
    from pipeline.core.artefacts import read_table
    from pipeline.reference.external import export_windows
    from pipeline.schema.schema import load
    from pipeline.sources.tracks import audio_folder

    output = output.absolute()
    os.chdir(workspace.root())
    params = load()
    rate = rate or params.representations[params.evaluate.mel].sample_rate
    windows, tracks = read_table(workspace.WINDOWS / "windows.parquet"), read_table(workspace.RAW / "tracks.parquet")
    with new_files(output) as folder:
        count = export_windows(folder, windows, tracks, audio_folder(params.source), rate)
    typer.echo(f"{output}: {count} test windows at {rate} Hz")
