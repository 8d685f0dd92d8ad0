"""What is done with MLflow: find or open a run, and write to it. Imported by the process beside a stage alone."""

import csv
import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core import workspace
from pipeline.core.params import flatten
from pipeline.tracking import model, names, store, watch
from pipeline.tracking.run_tags import Identity, name

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 1000  # metrics at most that MLflow takes in a call
TRACKS = "test/tracks.json"  # the artifact with the error of each test recording


@cache
def _client(uri: str) -> "MlflowClient":
    return store.client()


def client() -> "MlflowClient":
    """The client of the store that is named now."""
    return _client(store.tracking_uri())


def open_run(
    experiment: str, identity: Identity, stage: str, evaluation: str | None, tags: dict[str, str], at: int
) -> str:
    """The id of the run that takes what `stage` records since `at`, in ms; see `run.record`.

    A second call with the same arguments finds the run that the first one made.
    """
    _held.cache_clear()  # this process may just have sent what a killed stage recorded of the same run
    number = store.experiment(client(), experiment)
    found = _made(number, identity, at) or _find(number, identity, finished=stage != "train")
    before = found.data.tags.get("evaluation") if found else None
    if found and (evaluation is None or before in (None, evaluation)):
        run_id = str(found.info.run_id)
        train = stage == "train"
        client().update_run(run_id, status="RUNNING", name=name(identity, tags) if train else None)
        for key, value in tags.items() if train else ():  # of this attempt, not of one that was stopped
            client().set_tag(run_id, key, value)
        if "error" in found.data.tags:  # of an attempt before this one
            client().delete_tag(run_id, "error")
    else:
        linked = {"model_run": found.info.run_id} if found else {}
        called = name(identity, tags)
        made = client().create_run(number, start_time=at, tags=tags | linked, run_name=called)
        run_id = str(made.info.run_id)
    tag(run_id, "dvc.stage", stage)
    if evaluation:
        tag(run_id, "evaluation", evaluation)
    return run_id


def params(run_id: str, values: Mapping[str, Any]) -> None:
    """Log nested settings under dotted keys, but for what is not set."""
    from mlflow.entities import Param

    found = [Param(key, _written(value)) for key, value in flatten(values) if value not in (None, [])]
    client().log_batch(run_id, params=found)


def metrics(run_id: str, values: Mapping[str, float], step: int, at: int, once: str | None = None) -> None:
    """Log numbers at a step, measured `at`, in ms."""
    series(run_id, {step: values}, at, once)


def series(
    run_id: str, rows: Mapping[int, Mapping[str, float]], at: int, once: str | None = None, **of: str | None
) -> None:
    """Log numbers at many steps at once, measured `at`, in ms: MLflow takes the same ones of the same time just once.

    Where `once` is a metric, steps at which the run held it when it was opened are left out. `of`
    may name the model and the dataset that they are of.
    """
    from mlflow.entities import Metric

    held = _held(run_id, once) if once else set()
    batch: list[Metric] = []
    for step, values in rows.items():
        found = [Metric(key, float(n), at, int(step), **of) for key, n in values.items() if int(step) not in held]
        if len(batch) + len(found) > BATCH:  # a step is sent as a whole, or `once` would hide the rest of it
            client().log_batch(run_id, metrics=batch)
            batch = []
        batch += found
    client().log_batch(run_id, metrics=batch)


@cache
def _held(run_id: str, key: str) -> set[int]:
    return {metric.step for metric in client().get_metric_history(run_id, key)}


def tag(run_id: str, key: str, value: str) -> None:
    """Set a tag."""
    client().set_tag(run_id, key, value)


def folder(run_id: str, path: Path, name: str) -> None:
    """Log every file below `path` as an artifact below `name`."""
    with store.sending_files():
        client().log_artifacts(run_id, str(path), name)


def datasets(run_id: str, found: list[dict[str, Any]]) -> None:
    """Add what `datasets.describe` found to the run's inputs; what is there already stays as it is."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for one in found:
        windows = [{"type": "tensor", "tensor-spec": {"dtype": one["dtype"], "shape": [-1, *one["shape"]]}}]
        dataset = Dataset(
            name=one["name"],
            digest=one["digest"],
            source_type="local",
            source=json.dumps({"uri": one["source"]}),
            schema=json.dumps({"mlflow_tensorspec": {"features": json.dumps(windows), "targets": None}}),
            profile=json.dumps(one["profile"]),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", one["context"])]))
    client().log_inputs(run_id, inputs)


def images(run_id: str, path: Path, key: str) -> None:
    """Log each <step>.png below `path` as the image `key` of that step, unless the run has one."""
    from PIL import Image

    there = {artifact.path.rpartition("/")[2] for artifact in client().list_artifacts(run_id, "images")}
    for file in sorted(path.glob("*.png"), key=lambda file: int(file.stem)):
        if not any(name.startswith(f"{key}+step+{int(file.stem)}+") for name in there):
            picture = Image.open(file).convert("RGB")  # of a palette, MLflow's small copy would be ragged
            client().log_image(run_id, picture, key=key, step=int(file.stem))


def trained(run_id: str, config: Path, history: Path) -> None:
    """Log settings and epochs of the training that left these files, if the run lacks them: it did not make it.

    Losses of each step are in no file, and stay away.
    """
    run = client().get_run(run_id)
    if "network.type" not in run.data.params:
        params(run_id, names.settings(workspace.read_json(config)))
    if "epoch/seconds" not in run.data.metrics:
        with history.open(encoding="utf-8", newline="") as file:
            rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
        ended = int(history.stat().st_mtime * 1000)
        series(run_id, {int(row["epoch"]): names.of_epoch(row) for row in rows}, ended, once="epoch/seconds")


def evaluated(run_id: str, results: dict[str, Any], is_new: bool, at: int) -> None:
    """Log an evaluation's settings, numbers and tags; one that is not new only where the run has none."""
    if is_new or results["metrics"].keys().isdisjoint(client().get_run(run_id).data.metrics):
        params(run_id, results["params"])
        if "tracks" in results:
            client().log_dict(run_id, results["tracks"], TRACKS)
        series(run_id, {0: results["metrics"]}, at, model_id=model.of_run(client(), run_id), **results["dataset"])
        for key, value in results["tags"].items():
            tag(run_id, key, value)


def pyfunc(run_id: str, variant: str, path: Path) -> None:
    """Log the model in the folder `path`; see `model.log`."""
    with store.sending_files():
        model.log(client(), run_id, variant, path)


def register(run_id: str, variant: str, tags: dict[str, str]) -> None:
    """Register the run's model; see `model.register`."""
    model.register(client(), run_id, variant, tags)


def watched(run_id: str, stage: int) -> None:
    """Follow machine and stage until the run ends; see `watch.start`."""
    begun = max((metric.step for metric in client().get_metric_history(run_id, watch.NAME)), default=-1) + 1
    watch.start(run_id, stage, begun, partial(series, run_id))


def failure(run_id: str, message: str, trace: str) -> None:
    """Keep why a stage failed."""
    tag(run_id, "error", message[:500])
    client().log_text(run_id, trace, "error.txt")


def end(run_id: str, status: str, at: int) -> None:
    """Close the run as FINISHED, FAILED or KILLED, which it was `at`, in ms."""
    watch.stop(run_id)
    client().set_terminated(run_id, status, at)


def _made(experiment: str, identity: Identity, at: int) -> Any:
    """The run that was made for this identity at that time, to the millisecond."""
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.start_time = {at}"
    return next(iter(client().search_runs([experiment], query)), None)


def _find(experiment: str, identity: Identity, finished: bool) -> Any:
    """The run of run.json, else the newest finished one with its fingerprint where that will do, else None."""
    from mlflow.exceptions import MlflowException

    if identity["run_id"]:
        try:
            found = client().get_run(identity["run_id"])
            if found.info.lifecycle_stage == "active":
                return found
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            # made on another machine, or deleted for good
    if not finished:
        return None
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.status = 'FINISHED'"
    runs = client().search_runs([experiment], query, order_by=["attributes.start_time DESC"])
    return next((run for run in runs if "model_run" not in run.data.tags), None)


def _written(value: Any) -> str:
    """A list without brackets: the UI takes one with them for JSON, and gives each element a line."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
