"""Runs in the project's own MLflow database, and artifacts, that nothing refers to.

A server is shared with other people, and is left alone.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline import runs, workspace
from pipeline.params import section
from pipeline.tracking import store
from pipeline.tracking.config import TrackingConfig
from pipeline.unused.files import Unused, size
from pipeline.unused.references import References

ENDED_BADLY = "FAILED", "KILLED"


def own() -> bool:
    """Whether MLflow is the project's own database, and exists."""
    database = workspace.project() / "mlflow.db"
    return store.tracking_uri() == f"sqlite:///{database}" and database.exists()


def find(references: References, unfinished: Iterable[str], abandoned: Iterable[str]) -> Iterator[Unused]:
    """Runs and artifacts that can be removed.

    Args:
        references: what results refer to.
        unfinished: ids of runs that a stage may go on with.
        abandoned: ids of runs that are RUNNING although their stage has ended.

    Raises:
        MelismaError: the database fails.
    """
    with runs.reached() as client:
        numbers = runs.experiments(client)
        found = {run.info.run_id: run for run in runs.pages(client, numbers, view=runs.WITH_DELETED)}
        kept = references.runs | set(unfinished)
        kept |= {version.run_id for version in _all(client.search_model_versions)}  # of registered models
        reasons = {number: _reason(run, references, kept, set(abandoned)) for number, run in found.items()}
        # What a kept run evaluates was recorded by the run that trained it.
        kept |= {found[number].data.tags.get("model_run") for number, why in reasons.items() if not why}
        models = _models(client, numbers)
        for number, why in reasons.items():
            if why and number not in kept:
                folders = [_place(number), *(_place(model) for model, of in models.items() if of == number)]
                name = f"{found[number].info.run_name} {number}"
                yield Unused("runs", name, why, sum(size(folder) for folder in folders if folder.is_dir()))
        for folder in sorted([*_place("").glob("[0-9a-f]" * 32), *_place("").glob("models/m-*")]):
            if folder.name not in found and folder.name not in models:
                yield Unused("artifacts", str(folder), "of a run or model that MLflow has not", size(folder), folder)


def remove(names: Iterable[str]) -> None:
    """Remove runs for good, with their artifacts and models, by the names that `find` gave them.

    Raises:
        MelismaError: the database fails.
    """
    with runs.reached() as client:
        models = _models(client, runs.experiments(client))
        # The command `mlflow gc` would also remove every experiment and model that was deleted in the UI.
        database: Any = client._tracking_client.store
        for number in (name.rsplit(" ", 1)[-1] for name in names):
            for model in [model for model, of in models.items() if of == number]:
                database._hard_delete_logged_model(model)
                shutil.rmtree(_place(model), ignore_errors=True)
            if client.get_run(number).info.lifecycle_stage == "active":
                client.delete_run(number)
            database._hard_delete_run(number)
            shutil.rmtree(_place(number), ignore_errors=True)


def _place(name: str) -> Path:
    """The folder of a run's or a model's artifacts, by its id, where `store.experiment` has them put."""
    folder = workspace.project() / "mlartifacts" / section(TrackingConfig, "tracking").experiment
    return folder / "models" / name if name.startswith("m-") else folder / name


def _reason(run: Any, references: References, kept: set[str], abandoned: set[str]) -> str | None:
    """Why a run can be removed, if it can."""
    tags, number, status = run.data.tags, run.info.run_id, run.info.status
    if number in kept or any(key.startswith("study.") for key in tags):
        return None
    if run.info.lifecycle_stage == "deleted":
        return "it was deleted in MLflow"
    if status == "RUNNING":
        return "the stage that wrote to it was killed" if number in abandoned else None
    if status in ENDED_BADLY:
        return f"it ended as {status}, and no stage goes on with it"
    if tags.get("fingerprint") in references.fingerprints or tags.get("variant") in references.remote:
        return None
    return "no result here or in Git is of its training"


def _models(client: Any, numbers: list[str]) -> dict[str, str]:
    """Id of each model that was logged, and of the run that logged it."""
    if not numbers:
        return {}
    return {model.model_id: model.source_run_id for model in _all(client.search_logged_models, experiment_ids=numbers)}


def _all(search: Callable[..., Any], **asked: Any) -> Iterator[Any]:
    """What a search of MLflow finds, page by page."""
    token = None
    while True:
        page = search(**asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
