"""Command `repro`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.base import app
from pipeline.core import workspace
from pipeline.core.errors import ParamsError
from pipeline.core.process import exit_with_error


@app.command()
def repro(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[STAGE]...", help="Build these and what they need; by default all.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Stages at once; by default by cores, memory and memory of a GPU."),
    ] = None,
) -> None:
    """Build what is out of date, several stages at once.

    The results are those of `dvc repro`. If a stage fails, the stages that do not need it run all the same; the exit
    code is 1.
    """
    from pipeline.core.params import PARAMS_FILE
    from pipeline.repro.build import Build, default_jobs
    from pipeline.repro.graph import outdated_stages
    from pipeline.repro.view import open_view
    from pipeline.schema.schema import load

    os.chdir(workspace.root())
    params = load()  # a mistake shows before anything runs
    if not Path(params.source.path).exists():  # also if another source is chosen, since DVC watches this folder
        raise ParamsError(f"{PARAMS_FILE}: source.path: there is no folder {Path(params.source.path).absolute()}")
    jobs = jobs or default_jobs(params.runtime.device, params.train)
    lock = workspace.state_folder() / "locks" / f"repro-{workspace.fingerprint(str(Path.cwd()))}"
    with workspace.hold_lock(lock, "building this project"):
        stages = outdated_stages(targets or [])
        if not stages:
            workspace.say("everything is up to date")
            return
        skipped: list[str] = []
        with open_view([stage.name for stage in stages]) as view:
            build = Build(stages, jobs, view)
            try:
                skipped = build.run()
            finally:  # also after Ctrl-C
                failed = [job for job in build.failed if job.outcome == "FAILED"]
                for job in failed:
                    typer.echo(f"{job.stage.name} failed: {job.reason}", err=True)
    if failed:
        not_run = f"; not run, since they need what failed: {', '.join(skipped)}" if skipped else ""
        exit_with_error(f"{len(failed)} of {len(stages)} stages failed{not_run}", 1)
