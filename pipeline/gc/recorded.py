"""Runs in the project's own MLflow database, and artifacts, that nothing refers to.

A server is shared with other people, and is left alone.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.gc.files import Unused, size
from pipeline.gc.references import References
from pipeline.tracking import search, store
from pipeline.tracking.config import TrackingConfig

ENDED_BADLY = "FAILED", "KILLED"
REPORTS = 3  # that stay, the newest: each is a copy of all pages, and stage report makes another in seconds


def own() -> bool:
    """Whether MLflow is the project's own database, and exists."""
    file = store.database()
    return file == workspace.project() / "mlflow.db" and file.exists()


def find(references: References, unfinished: Iterable[str], abandoned: Iterable[str]) -> Iterator[Unused]:
    """Runs and artifacts that can be removed.

    Args:
        references: what results refer to.
        unfinished: ids of runs that a stage may go on with.
        abandoned: ids of runs that are RUNNING although their stage has ended.

    Raises:
        MelismaError: the database fails.
    """
    with search.reached() as client:
        folders = {name: _folders(name) for name in _own()}  # listed before the runs, lest one of a new run be unknown
        names = _experiments(client)
        found = {run.info.run_id: run for run in search.pages(client, [*names], view=search.WITH_DELETED)}
        models = _models(client, [*names])
        kept = references.runs | set(unfinished)
        kept |= {version.run_id for version in _all(client.search_model_versions)}  # of registered models
        reasons = _reasons([*found.values()], names, references, kept, set(abandoned))
        # What a kept run evaluates was recorded by the run that trained it.
        kept |= {run.data.tags.get("model_run") for number, run in found.items() if number not in reasons}
        for number, why in reasons.items():
            if number not in kept:
                place = names[found[number].info.experiment_id]
                ids = [number, *(model for model, of in models.items() if of == number)]
                name = f"{found[number].info.run_name} {number}"
                sizes = [size(folder) for each in ids if (folder := _place(place, each)).is_dir()]
                yield Unused("runs", name, why, sum(sizes))
        for name in [name for name in _own() if name in names.values()]:  # else MLflow may have it under another name
            for folder in folders[name]:
                if folder.name not in found and folder.name not in models:
                    why = "of a run or model that MLflow has not"
                    yield Unused("artifacts", str(folder), why, size(folder), folder)


def remove(names: Iterable[str]) -> None:
    """Remove runs for good, with their artifacts and models, by the names that `find` gave them.

    Raises:
        MelismaError: the database fails.
    """
    with search.reached() as client:
        experiments = _experiments(client)
        models = _models(client, [*experiments])
        # The command `mlflow gc` would also remove every experiment and model that was deleted in the UI.
        database: Any = client._tracking_client.store
        for number in (name.rsplit(" ", 1)[-1] for name in names):
            run = client.get_run(number).info
            place = experiments[run.experiment_id]
            for model in [model for model, of in models.items() if of == number]:
                database._hard_delete_logged_model(model)
                shutil.rmtree(_place(place, model), ignore_errors=True)
            if run.lifecycle_stage == "active":
                client.delete_run(number)
            database._hard_delete_run(number)
            shutil.rmtree(_place(place, number), ignore_errors=True)


def _own() -> tuple[str, str]:
    """Names of MLflow's experiments with the runs of variants, and with reports, which stage report records apart."""
    name = read_section(TrackingConfig, "tracking").experiment
    return name, f"{name}-reports"


def _experiments(client: Any) -> dict[str, str]:
    """Id and name of each experiment that MLflow has, own or not, deleted or not."""
    found = _all(client.search_experiments, view_type=search.WITH_DELETED)
    return {experiment.experiment_id: experiment.name for experiment in found}


def _folders(experiment: str) -> list[Path]:
    """The artifacts of runs and models."""
    folder = _place(experiment, "")
    return sorted([*folder.glob("[0-9a-f]" * 32), *folder.glob("models/m-*")])


def _place(experiment: str, name: str) -> Path:
    """The folder of a run's or a model's artifacts, by its id, where `store.experiment` has them put."""
    folder = workspace.project() / "mlartifacts" / experiment
    return folder / "models" / name if name.startswith("m-") else folder / name


def _reasons(
    found: list[Any], names: dict[str, str], references: References, kept: set[str], abandoned: set[str]
) -> dict[str, str]:
    """Ids of the runs that can be removed, and why; `found` has the newest first.

    A run without a fingerprint was not made by a stage, and belongs to somebody else.
    """
    variants, reports = _own()
    finished = [run for run in found if run.info.status == "FINISHED" and run.info.lifecycle_stage == "active"]
    shown = [run.info.run_id for run in finished if names[run.info.experiment_id] == reports][:REPORTS]
    reasons = {}
    for run in found:
        tags, number, name = run.data.tags, run.info.run_id, names[run.info.experiment_id]
        studied = any(key.startswith("study.") for key in tags)
        mine = name in (variants, reports) and "fingerprint" in tags
        if not mine or studied or number in kept or tags.get("variant") in references.lacking:
            continue
        referred = number in shown if name == reports else tags["fingerprint"] in references.fingerprints
        if run.info.lifecycle_stage == "deleted":
            reasons[number] = "it was deleted in MLflow"
        elif run.info.status == "RUNNING":
            if number in abandoned:
                reasons[number] = "the stage that wrote to it was killed"
        elif run.info.status in ENDED_BADLY:
            reasons[number] = f"it ended as {run.info.status}, and no stage goes on with it"
        elif not referred:
            unused = f"{REPORTS} newer reports stay"
            reasons[number] = unused if name == reports else "no result here or in Git is of its training"
    return reasons


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
