"""One MLflow run per variant and seed: opened by train, continued by evaluate and figures.

A store that fails never stops a stage: it is said once, and the stage goes on without. Files hold everything that
MLflow shows.
"""

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import workspace
from pipeline.errors import StoppedError
from pipeline.tracking import store
from pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

Identity = dict[str, Any]  # run.json: variant, seed, fingerprint, and run_id (None where nothing was recorded)


class Run:
    """An open run, or nothing where tracking is off or its store has failed."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._client: MlflowClient | None = None

    def _try(self, what: Callable[["MlflowClient", str], Any]) -> None:
        if self._client is None:
            return
        try:
            what(self._client, self.identity["run_id"])
        except Exception as error:  # any failure of a database or a server
            self._client = None
            _warn(error)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log nested settings under dotted keys; MLflow takes each key once."""
        if self._client is None:
            return
        from mlflow.entities import Param

        flat = [Param(key, str(value)) for key, value in _flatten(values)]
        self._try(lambda client, run_id: client.log_batch(run_id, params=flat))

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log numbers at a step; None is left out."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(key, float(value), now, step) for key, value in values.items() if value is not None]
        self._try(lambda client, run_id: client.log_batch(run_id, metrics=batch))

    def logged(self, key: str) -> set[int]:
        """Steps at which the metric `key` was logged, in earlier processes too."""
        found: set[int] = set()
        self._try(lambda client, run_id: found.update(m.step for m in client.get_metric_history(run_id, key)))
        return found

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._try(lambda client, run_id: client.set_tag(run_id, key, value))

    def folder(self, path: Path, name: str) -> None:
        """Log every file below `path` as an artifact below `name`."""
        self._try(lambda client, run_id: client.log_artifacts(run_id, str(path), name))


@contextmanager
def record(config: TrackingConfig, stage: str, identity: Identity, evaluation: str | None = None) -> Iterator[Run]:
    """The run of `identity`, found again or opened, FINISHED when the block ends well and else FAILED or KILLED.

    Stage train opens a new run, or goes on with the one of `identity` if that names one. The others continue the one of
    `identity`; where the store has it not (it is another machine's, or DVC's cache restored the model), the newest
    finished one with its fingerprint; else they open one.

    Args:
        config: the `tracking` section.
        stage: as a tag.
        identity: variant, seed, fingerprint and, from run.json, run_id; `Run.identity` holds the one that was used.
        evaluation: fingerprint of the evaluation's settings. A run that holds another evaluation is left as it is,
            since MLflow's parameters cannot change: a new run, linked to it by the tag model_run, takes the results.
    """
    run = Run({**identity, "run_id": identity.get("run_id")})
    if config.enabled:
        try:
            client = store.client()
            run.identity["run_id"] = _open(client, config.experiment, run.identity, stage, evaluation)
            run._client = client
        except Exception as error:  # as above
            _warn(error)
    else:
        run.identity["run_id"] = None
    status = "FINISHED"
    try:
        yield run
    except (KeyboardInterrupt, SystemExit, StoppedError):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        trace = "".join(traceback.format_exception(error))
        run.tag("error", str(error)[:500])
        run._try(lambda client, run_id: client.log_text(run_id, trace, "error.txt"))
        raise
    finally:
        run._try(lambda client, run_id: client.set_terminated(run_id, status))


def _open(client: "MlflowClient", experiment: str, identity: Identity, stage: str, evaluation: str | None) -> str:
    number = store.experiment(client, experiment)
    found = _find(client, number, identity, finished=stage != "train")
    before = found.data.tags.get("evaluation") if found else None
    if found and (evaluation is None or before in (None, evaluation)):
        tags = _tags(identity, stage) if stage == "train" else {}  # of this attempt, not of one that was stopped
        client.update_run(found.info.run_id, status="RUNNING", name=_name(identity, tags) if tags else None)
        for key, value in tags.items():
            client.set_tag(found.info.run_id, key, value)
        if "error" in found.data.tags:  # of an attempt before this one
            client.delete_tag(found.info.run_id, "error")
        run_id = str(found.info.run_id)
    else:
        tags = _tags(identity, stage)
        if found:
            tags["model_run"] = found.info.run_id
        run_id = str(client.create_run(number, tags=tags, run_name=_name(identity, tags)).info.run_id)
    client.set_tag(run_id, "dvc.stage", stage)
    if evaluation:
        client.set_tag(run_id, "evaluation", evaluation)
    return run_id


def _find(client: "MlflowClient", experiment: str, identity: Identity, finished: bool) -> Any:
    """The run of run.json, else the newest finished one with its fingerprint where that will do, else None."""
    from mlflow.exceptions import MlflowException

    if identity["run_id"]:
        try:
            found = client.get_run(identity["run_id"])
            if found.info.lifecycle_stage == "active":
                return found
        except MlflowException:
            pass  # made on another machine, or deleted for good
    if not finished:
        return None
    query = f"tags.fingerprint = '{identity['fingerprint']}' and attributes.status = 'FINISHED'"
    runs = client.search_runs([experiment], query, order_by=["attributes.start_time DESC"])
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


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _warn(error: Exception) -> None:
    reason = store.without_password(" ".join(str(error).split())[:200])
    place = store.without_password(store.tracking_uri())
    print(f"warning: MLflow at {place} failed ({reason}); going on without it", file=sys.stderr)
