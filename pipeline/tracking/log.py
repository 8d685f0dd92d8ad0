"""What is done with MLflow: find or open a run, and write to it. Imported by the process beside a stage alone."""

import os
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import workspace
from pipeline.params import flatten
from pipeline.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient

BATCH = 1000  # metrics at most that MLflow takes in a call
Identity = dict[str, Any]  # run.json: variant, seed, fingerprint, and run_id (None where nothing was recorded)


@cache
def _client(uri: str) -> "MlflowClient":
    return store.client()


def client() -> "MlflowClient":
    """The client of the store that is named now."""
    return _client(store.tracking_uri())


def open_run(experiment: str, identity: Identity, stage: str, evaluation: str | None) -> str:
    """The id of the run that takes what `stage` records; see `run.record`."""
    number = store.experiment(client(), experiment)
    found = _find(number, identity, finished=stage != "train")
    before = found.data.tags.get("evaluation") if found else None
    if found and (evaluation is None or before in (None, evaluation)):
        tags = _tags(identity, stage) if stage == "train" else {}  # of this attempt, not of one that was stopped
        client().update_run(found.info.run_id, status="RUNNING", name=_name(identity, tags) if tags else None)
        for key, value in tags.items():
            client().set_tag(found.info.run_id, key, value)
        if "error" in found.data.tags:  # of an attempt before this one
            client().delete_tag(found.info.run_id, "error")
        run_id = str(found.info.run_id)
    else:
        tags = _tags(identity, stage)
        if found:
            tags["model_run"] = found.info.run_id
        run_id = str(client().create_run(number, tags=tags, run_name=_name(identity, tags)).info.run_id)
    tag(run_id, "dvc.stage", stage)
    if evaluation:
        tag(run_id, "evaluation", evaluation)
    return run_id


def params(run_id: str, values: Mapping[str, Any]) -> None:
    """Log nested settings under dotted keys, but for what is not set."""
    from mlflow.entities import Param

    found = [Param(key, str(value)) for key, value in flatten(values) if value not in (None, [])]
    client().log_batch(run_id, params=found)


def metrics(run_id: str, values: Mapping[str, float], step: int) -> None:
    """Log numbers at a step."""
    series(run_id, {step: values})


def series(run_id: str, rows: Mapping[int, Mapping[str, float]]) -> None:
    """Log numbers at many steps at once."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    found = [Metric(key, float(value), now, step) for step, values in rows.items() for key, value in values.items()]
    for start in range(0, len(found), BATCH):
        client().log_batch(run_id, metrics=found[start : start + BATCH])


def logged(run_id: str, key: str) -> set[int]:
    """Steps at which the metric `key` was logged."""
    return {metric.step for metric in client().get_metric_history(run_id, key)}


def tag(run_id: str, key: str, value: str) -> None:
    """Set a tag."""
    client().set_tag(run_id, key, value)


def folder(run_id: str, path: Path, name: str) -> None:
    """Log every file below `path` as an artifact below `name`."""
    client().log_artifacts(run_id, str(path), name)


def failure(run_id: str, message: str, trace: str) -> None:
    """Keep why a stage failed."""
    tag(run_id, "error", message[:500])
    client().log_text(run_id, trace, "error.txt")


def end(run_id: str, status: str) -> None:
    """Close the run as FINISHED, FAILED or KILLED."""
    client().set_terminated(run_id, status)


def _find(experiment: str, identity: Identity, finished: bool) -> Any:
    """The run of run.json, else the newest finished one with its fingerprint where that will do, else None."""
    from mlflow.exceptions import MlflowException

    if identity["run_id"]:
        try:
            found = client().get_run(identity["run_id"])
            if found.info.lifecycle_stage == "active":
                return found
        except MlflowException:
            pass  # made on another machine, or deleted for good
    if not finished:
        return None
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.status = 'FINISHED'"
    runs = client().search_runs([experiment], query, order_by=["attributes.start_time DESC"])
    return next((run for run in runs if "model_run" not in run.data.tags), None)


def _name(identity: Identity, tags: dict[str, str]) -> str:
    name = f"{identity['variant']}-seed{identity['seed']}"
    return f"{name}-{tags['dvc.exp_name']}" if tags["dvc.exp_name"] else name


def _tags(identity: Identity, stage: str) -> dict[str, str]:
    commit = _git("rev-parse", "HEAD")
    return {
        "variant": identity["variant"],
        "seed": str(identity["seed"]),
        "fingerprint": identity["fingerprint"],
        "data": identity.get("data", ""),
        "dvc.stage": stage,
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.exp_baseline_rev": os.environ.get("DVC_EXP_BASELINE_REV", ""),
        "mlflow.source.name": f"stages/{stage}.py",
        "mlflow.source.git.commit": commit,
        "git.commit": commit,
        "git.dirty": str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower(),
        "mlflow.note.content": f"Variant `{identity['variant']}`, seed {identity['seed']}.",
    }


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], cwd=workspace.root(), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip()
