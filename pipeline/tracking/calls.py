"""The calls to MLflow that a journal holds: open a run, write to it, end it.

A call may be repeated if its answer was lost. So each call brings the time when it was recorded, and the repetition
changes nothing. Stages leave these calls to the sender process, since the import of MLflow takes seconds.
"""

import csv
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.params import flatten
from pipeline.tracking import logged_values, mlflow_model, store, system_metrics
from pipeline.tracking.run_tags import Identity, run_name

METRICS_PER_CALL = 1000  # MLflow's limit
TRACKS_FILE = "test/tracks.json"  # artifact with the errors of each test recording


def open_run(
    experiment: str, identity: Identity, stage: str, evaluation: str | None, tags: dict[str, str], at: int
) -> str:
    """Find or create the run for what `stage` records from the time `at` (ms) on; return its id. See `run.record`.

    A second call with the same arguments finds the run of the first call.
    """
    _logged_steps.cache_clear()  # this process may just have sent what a killed stage recorded for the same run
    experiment_id = store.ensure_experiment(store.client(), experiment)
    is_train = stage == "train"
    run = _created_run(experiment_id, identity, at) or _earlier_run(experiment_id, identity, finished=not is_train)
    logged_evaluation = run.data.tags.get("evaluation") if run else None
    if run and (evaluation is None or logged_evaluation in (None, evaluation)):
        run_id = str(run.info.run_id)
        store.client().update_run(run_id, status="RUNNING", name=run_name(identity, tags) if is_train else None)
        for key, value in tags.items() if is_train else ():  # replace the tags of an attempt that was stopped
            store.client().set_tag(run_id, key, value)
        if "error" in run.data.tags:  # an earlier attempt failed
            store.client().delete_tag(run_id, "error")
    else:
        link = {"model_run": run.info.run_id} if run else {}
        name = run_name(identity, tags)
        run_id = str(
            store.client().create_run(experiment_id, start_time=at, tags=tags | link, run_name=name).info.run_id
        )
    store.client().set_tag(run_id, "dvc.stage", stage)
    if evaluation:
        store.client().set_tag(run_id, "evaluation", evaluation)
    return run_id


def log_params(run_id: str, values: Mapping[str, Any]) -> None:
    """Log nested settings under dotted keys; skip None and empty lists."""
    from mlflow.entities import Param

    params = [Param(key, _format(value)) for key, value in flatten(values) if value not in (None, [])]
    store.client().log_batch(run_id, params=params)


def log_series(
    run_id: str,
    rows: Mapping[int, Mapping[str, float]],
    at: int,
    skip_if_logged: str | None = None,
    **source: str | None,
) -> None:
    """Log the metrics of many steps. MLflow ignores a metric that it has with the same value, step and time.

    Args:
        rows: step -> metrics.
        at: time in ms.
        skip_if_logged: a metric; steps that it had when the run was opened are skipped.
        source: model_id, dataset_name and dataset_digest of the metrics.
    """
    from mlflow.entities import Metric

    logged = _logged_steps(run_id, skip_if_logged) if skip_if_logged else set()
    batch: list[Metric] = []
    for step, values in rows.items():
        if int(step) in logged:
            continue
        metrics = [Metric(key, float(value), at, int(step), **source) for key, value in values.items()]
        if len(batch) + len(metrics) > METRICS_PER_CALL:  # never split a step: a repetition would skip its second part
            store.client().log_batch(run_id, metrics=batch)
            batch = []
        batch += metrics
    store.client().log_batch(run_id, metrics=batch)


@cache
def _logged_steps(run_id: str, key: str) -> set[int]:
    return {metric.step for metric in store.client().get_metric_history(run_id, key)}


def log_folder(run_id: str, path: Path, name: str) -> None:
    """Log every file below `path` as an artifact below `name`."""
    with store.file_timeout():
        store.client().log_artifacts(run_id, str(path), name)


def log_datasets(run_id: str, descriptions: list[dict[str, Any]]) -> None:
    """Add the datasets of `datasets.describe_datasets` to the inputs of the run. Existing inputs stay."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(Dataset(**split["dataset"]), [InputTag("mlflow.data.context", split["context"])])
        for split in descriptions
    ]
    store.client().log_inputs(run_id, inputs)


def log_images(run_id: str, path: Path, key: str) -> None:
    """Log each <step>.png in `path` as the image `key` of that step; skip the steps that the run has."""
    from PIL import Image

    names = {artifact.path.rpartition("/")[2] for artifact in store.client().list_artifacts(run_id, "images")}
    for file in sorted(path.glob("*.png"), key=lambda file: int(file.stem)):
        if not any(name.startswith(f"{key}+step+{int(file.stem)}+") for name in names):
            image = Image.open(file).convert("RGB")  # MLflow's thumbnail of a palette image has ragged edges
            store.client().log_image(run_id, image, key=key, step=int(file.stem))


def log_training(run_id: str, config: Path, history: Path) -> None:
    """Log the settings and epochs from config.json and history.csv if the run lacks them.

    The losses of single steps are in no file, so they stay missing.
    """
    run = store.client().get_run(run_id)
    if "network.type" not in run.data.params:
        log_params(run_id, logged_values.variant_params(workspace.read_json(config)))
    if logged_values.EPOCH_SECONDS not in run.data.metrics:
        with history.open(encoding="utf-8", newline="") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        ended = int(history.stat().st_mtime * 1000)
        epochs = {int(row["epoch"]): logged_values.epoch_metrics(row) for row in rows}
        log_series(run_id, epochs, ended, logged_values.EPOCH_SECONDS)


def log_evaluation(run_id: str, results: dict[str, Any], is_new: bool, at: int) -> None:
    """Log params, metrics and tags of an evaluation. An old one is logged only if the run has none of its metrics."""
    if is_new or results["metrics"].keys().isdisjoint(store.client().get_run(run_id).data.metrics):
        log_params(run_id, results["params"])
        store.client().log_dict(run_id, results["tracks"], TRACKS_FILE)
        model_id = mlflow_model.model_id_of(run_id)
        log_series(run_id, {0: results["metrics"]}, at, model_id=model_id, **results["dataset"])
        for key, value in results["tags"].items():
            store.client().set_tag(run_id, key, value)


def log_failure(run_id: str, message: str, trace: str) -> None:
    """Log why a stage failed: the tag `error` and the artifact error.txt."""
    store.client().set_tag(run_id, "error", message[:500])
    store.client().log_text(run_id, trace, "error.txt")


def end_run(run_id: str, status: str, at: int) -> None:
    """Set the final status (FINISHED, FAILED or KILLED) and the end time in ms."""
    system_metrics.stop_sampling(run_id)
    store.client().set_terminated(run_id, status, at)


# The functions that a journal may name; they take a run id and the recorded arguments.
CALLS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        *(log_params, log_series, log_folder, log_datasets, log_images, log_training, log_evaluation),
        *(mlflow_model.log_model, mlflow_model.register_model),
        *(system_metrics.start_sampling, log_failure, end_run),
    )
}


def _created_run(experiment_id: str, identity: Identity, at: int) -> Any:
    """The run that an earlier `open_run` with the same arguments created, or None."""
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.start_time = {at}"
    return next(iter(store.client().search_runs([experiment_id], query)), None)


def _earlier_run(experiment_id: str, identity: Identity, finished: bool) -> Any:
    """The run that `identity` names; else, with `finished`, the newest finished run of its fingerprint; else None."""
    from mlflow.exceptions import MlflowException

    if identity["run_id"]:
        try:
            run = store.client().get_run(identity["run_id"])
            if run.info.lifecycle_stage == "active":
                return run
        except MlflowException as error:  # the run is in another machine's store, or deleted
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    if not finished:
        return None
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.status = 'FINISHED'"
    runs = store.client().search_runs([experiment_id], query, order_by=["attributes.start_time DESC"])
    return next((run for run in runs if "model_run" not in run.data.tags), None)


def _format(value: Any) -> str:
    """A list without brackets: the UI would parse brackets as JSON and show each element on its own line."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
