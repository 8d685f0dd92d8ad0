"""Unused runs: their folders in .melisma/runs, and their mirrors in the project's own MLflow database.

A run stays in MLflow as long as its folder stays. All runs on a server stay, since others may share it.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.gc.files import UnusedItem, size, unused_path
from pipeline.gc.references import References
from pipeline.tracking import search, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run_folder import run_folders

KEPT_REPORTS = 3  # the newest: each is a copy of all pages, and stage report writes another in seconds


@dataclass(frozen=True)
class Run:
    """A run, as its folder or as MLflow describes it."""

    id: str  # name of the folder, or MLflow's id
    name: str
    tags: Mapping[str, str]
    status: str  # of MLflow; or DELETED
    ended: int  # ms


def find_unused(references: References, resumable: set[str]) -> Iterator[UnusedItem]:
    """Runs and artifacts that can be removed; raises as `search.connected`.

    `resumable` has the fingerprints of trainings that a stage may continue.
    """
    used = references.fingerprints | resumable
    folders = {folder.path.name: folder for folder in run_folders()}
    metas = {key: folder.meta for key, folder in folders.items()}
    busy = {
        meta["fingerprint"] for key, meta in metas.items() if folders[key].is_live() or not folders[key].is_complete
    }
    runs = [Run(key, meta["name"], meta["tags"], meta["status"], meta["ended"]) for key, meta in metas.items()]
    unused = _unused(runs, used | busy, references)
    for run, why in unused:
        yield unused_path("runs", f"{run.name} {run.id}", why, folders[run.id].path)
    file = store.database_file()
    if file == workspace.project() / "mlflow.db" and file.exists():
        kept = {run.tags["fingerprint"] for run in runs} - {run.tags["fingerprint"] for run, _ in unused}
        yield from _unused_in_mlflow(references, used | kept)


def remove(names: Iterable[str]) -> None:
    """Remove runs from MLflow for good, with their artifacts and models. `names` are from `find_unused`."""
    with search.connected() as client:
        experiments, models = _experiments_and_models(client)
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


def _unused(runs: list[Run], used: set[str], references: References) -> list[tuple[Run, str]]:
    """The runs that can be removed, and why; `used` has fingerprints.

    Runs of one training stay together: one may evaluate the model of another.
    """
    reports = [run for run in runs if "variant" not in run.tags]
    kept = sorted((run for run in reports if run.status == "FINISHED"), key=lambda run: run.ended)[-KEPT_REPORTS:]
    kept += [run for run in runs if run.tags.get("variant") in references.incomplete_variants]
    kept += [run for run in runs if any(key.startswith("study.") and run.tags[key] for key in run.tags)]
    used = used | {run.tags["fingerprint"] for run in kept}
    training = "no result here or in Git comes from its training"
    report = f"it is older than the {KEPT_REPORTS} newest reports"
    return [(run, report if run in reports else training) for run in runs if run.tags["fingerprint"] not in used]


def _unused_in_mlflow(references: References, used: set[str]) -> Iterator[UnusedItem]:
    """Runs and artifacts that MLflow no longer needs; `used` has fingerprints.

    A run without a fingerprint comes from somebody else, not from a stage.
    """
    experiment = read_section(TrackingConfig, "tracking").experiment
    own_experiments = experiment, f"{experiment}-reports"
    with search.connected() as client:
        artifacts = [  # before the runs: a run that begins now is missed
            (name, path)
            for name in own_experiments
            for pattern in ("[0-9a-f]" * 32, "models/m-*")
            for path in sorted(_folder(name, "").glob(pattern))
        ]
        experiments, models = _experiments_and_models(client)
        runs = {run.info.run_id: run for run in search.iterate_runs(client, [*experiments], view=search.WITH_DELETED)}
        registered = {version.run_id for version in search.pages(client.search_model_versions)}
        used = used | {run.data.tags.get("fingerprint") for run_id, run in runs.items() if run_id in registered}
        own_runs = [
            _describe(run)
            for run in runs.values()
            if experiments[run.info.experiment_id] in own_experiments and "fingerprint" in run.data.tags
        ]
        for run, why in _unused(own_runs, used, references):
            experiment = experiments[runs[run.id].info.experiment_id]
            ids = [run.id, *(model for model, source in models.items() if source == run.id)]
            total = sum(size(folder) for name in ids if (folder := _folder(experiment, name)).is_dir())
            yield UnusedItem("mlflow", f"{run.name} {run.id}", why, total)
        for experiment, path in artifacts:
            is_known = path.name in runs or path.name in models
            if not is_known and experiment in experiments.values():  # else it was renamed
                yield unused_path("artifacts", str(path), "MLflow lacks its run or model", path)


def _describe(run: Any) -> Run:
    status = run.info.status if run.info.lifecycle_stage == "active" else "DELETED"
    return Run(run.info.run_id, run.info.run_name, run.data.tags, status, run.info.end_time)


def _experiments_and_models(client: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Id -> name of all MLflow experiments, also of other projects and deleted ones; id of each model -> its run."""
    pages = search.pages(client.search_experiments, view_type=search.WITH_DELETED)
    experiments = {experiment.experiment_id: experiment.name for experiment in pages}
    models = search.pages(client.search_logged_models, experiment_ids=[*experiments]) if experiments else ()
    return experiments, {model.model_id: model.source_run_id for model in models}


def _folder(experiment: str, name: str) -> Path:
    """The artifact folder of a run or model id."""
    folder = store.artifact_folder(experiment)
    return folder / "models" / name if name.startswith("m-") else folder / name
