"""Unused runs and artifacts in the project's own MLflow database. A server, which others may share, is left alone."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.gc.files import UnusedItem, size
from pipeline.gc.references import References
from pipeline.tracking import search, store
from pipeline.tracking.config import TrackingConfig

STOPPED = "FAILED", "KILLED"
KEPT_REPORTS = 3  # the newest: each is a copy of all pages, and stage report writes another in seconds


def has_own_database() -> bool:
    """Whether the store is the project's own database, and exists."""
    file = store.database_file()
    return file == workspace.project() / "mlflow.db" and file.exists()


def find_unused(references: References, resumable: set[str], abandoned: Iterable[str]) -> Iterator[UnusedItem]:
    """Runs and artifacts that can be removed; raises as `search.connected`.

    Args:
        references: everything to which results refer.
        resumable: ids of runs that a stage may continue.
        abandoned: ids of runs with status RUNNING whose stage has ended.
    """
    with search.connected() as client:
        folders = {name: _artifact_folders(name) for name in _own_experiments()}  # before the runs: a new run is missed
        experiments = _experiments(client)
        runs = {run.info.run_id: run for run in search.iterate_runs(client, [*experiments], view=search.WITH_DELETED)}
        models = _models(client, [*experiments])
        used_runs = references.runs | resumable
        used_runs |= {version.run_id for version in search.pages(client.search_model_versions)}  # registered models
        reasons = _reasons([*runs.values()], experiments, references, used_runs, set(abandoned))
        # A used run may evaluate the model of another run, so that run stays too.
        used_runs |= {run.data.tags.get("model_run") for run_id, run in runs.items() if run_id not in reasons}
        for run_id, why in reasons.items():
            if run_id not in used_runs:
                experiment = experiments[runs[run_id].info.experiment_id]
                ids = [run_id, *(model for model, source in models.items() if source == run_id)]
                total = sum(size(folder) for name in ids if (folder := _folder(experiment, name)).is_dir())
                yield UnusedItem("runs", f"{runs[run_id].info.run_name} {run_id}", why, total)
        for experiment in [name for name in _own_experiments() if name in experiments.values()]:  # else it was renamed
            for folder in folders[experiment]:
                if folder.name not in runs and folder.name not in models:
                    yield UnusedItem("artifacts", str(folder), "MLflow lacks its run or model", size(folder), folder)


def remove(names: Iterable[str]) -> None:
    """Remove runs for good, with their artifacts and models. `names` are from `find_unused`."""
    with search.connected() as client:
        experiments = _experiments(client)
        models = _models(client, [*experiments])
        # The command `mlflow gc` would also remove all experiments and models that were deleted in the UI.
        database: Any = client._tracking_client.store
        for run_id in (name.rsplit(" ", 1)[-1] for name in names):
            run = client.get_run(run_id).info
            experiment = experiments[run.experiment_id]
            for model in [model for model, source in models.items() if source == run_id]:
                database._hard_delete_logged_model(model)
                shutil.rmtree(_folder(experiment, model), ignore_errors=True)
            if run.lifecycle_stage == "active":
                client.delete_run(run_id)
            database._hard_delete_run(run_id)
            shutil.rmtree(_folder(experiment, run_id), ignore_errors=True)


def _own_experiments() -> tuple[str, str]:
    """MLflow's experiments for the runs of variants and for the reports."""
    name = read_section(TrackingConfig, "tracking").experiment
    return name, f"{name}-reports"


def _experiments(client: Any) -> dict[str, str]:
    """Id -> name of all MLflow experiments, also of other projects and deleted ones."""
    experiments = search.pages(client.search_experiments, view_type=search.WITH_DELETED)
    return {experiment.experiment_id: experiment.name for experiment in experiments}


def _artifact_folders(experiment: str) -> list[Path]:
    """The artifact folders of runs and models."""
    folder = _folder(experiment, "")
    return sorted([*folder.glob("[0-9a-f]" * 32), *folder.glob("models/m-*")])


def _folder(experiment: str, name: str) -> Path:
    """The artifact folder of a run or model id; see `store.ensure_experiment`."""
    folder = workspace.project() / "mlartifacts" / experiment
    return folder / "models" / name if name.startswith("m-") else folder / name


def _reasons(
    runs: list[Any], experiments: dict[str, str], references: References, used_runs: set[str], abandoned: set[str]
) -> dict[str, str]:
    """Id -> reason of the runs that can be removed; `runs` are newest first.

    A run without a fingerprint comes from somebody else, not from a stage.
    """
    own_experiments = _own_experiments()
    reports = [
        run.info.run_id
        for run in runs
        if run.info.status == "FINISHED"
        and run.info.lifecycle_stage == "active"
        and experiments[run.info.experiment_id] == own_experiments[1]
    ]
    reasons = {}
    for run in runs:
        tags, run_id, experiment = run.data.tags, run.info.run_id, experiments[run.info.experiment_id]
        is_own = experiment in own_experiments and "fingerprint" in tags
        is_in_study = any(key.startswith("study.") for key in tags)
        if not is_own or is_in_study or run_id in used_runs or tags.get("variant") in references.incomplete_variants:
            continue
        is_report = experiment == own_experiments[1]
        if run.info.lifecycle_stage == "deleted":
            reasons[run_id] = "it was deleted in MLflow"
        elif run.info.status == "RUNNING":
            if run_id in abandoned:
                reasons[run_id] = "its stage was killed"
        elif run.info.status in STOPPED:
            reasons[run_id] = f"its status is {run.info.status}, and no stage continues it"
        elif is_report and run_id not in reports[:KEPT_REPORTS]:
            reasons[run_id] = f"the {KEPT_REPORTS} newest reports stay"
        elif not is_report and tags["fingerprint"] not in references.fingerprints:
            reasons[run_id] = "no result here or in Git comes from its training"
    return reasons


def _models(client: Any, experiment_ids: list[str]) -> dict[str, str]:
    """Id of each logged model -> id of the run that logged it."""
    if not experiment_ids:
        return {}
    models = search.pages(client.search_logged_models, experiment_ids=experiment_ids)
    return {model.model_id: model.source_run_id for model in models}
