"""A project with an MLflow database, in which this process is the publisher; and readers for runs."""

import shutil
from pathlib import Path

import pytest

from pipeline.tracking import publisher, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.publish import Mirror
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import folder_for

CONFIG = TrackingConfig(experiment="tests")
IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "abc", "data": "def"}


@pytest.fixture(scope="session")
def database(tmp_path_factory, empty_store):
    """One project for many tests, since a new database takes seconds."""
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("project"))).parent


@pytest.fixture(autouse=True)
def project(database, monkeypatch):
    """The current project; a run is sent when it ends."""
    monkeypatch.setenv("DVC_ROOT", str(database))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(publisher, "start", lambda: None)
    monkeypatch.setattr(publisher, "wait_at_end", lambda folder, _: Mirror(folder).publish())
    return database


def result(evaluation="e1", **metrics):
    """An element of seeds.json."""
    metrics = {"mse": 0.5, "mel_mse": 0.25, "collapse_reason": None, "samples_flat_reason": None, **metrics}
    return {**IDENTITY, "evaluation": evaluation, "settings": {"bootstrap": 20}, "metrics": metrics}


def epoch(number, **values):
    """A row of history.csv, with its timing."""
    return {"epoch": number, "train_loss": 1 / number, "seconds": 2.0, **values}


def run_stage(stage, fingerprint="abc", evaluation=None, **identity):
    """A stage that records nothing else; the MLflow run that it has afterwards."""
    with record(CONFIG, stage, IDENTITY | {"fingerprint": fingerprint, **identity}, evaluation):
        pass
    return get(fingerprint, evaluation)


def get(fingerprint="abc", evaluation=None):
    """The MLflow run of a training or of one of its evaluations."""
    return store.client().get_run(folder_for(fingerprint, evaluation).sent["run_id"])


def runs(fingerprint):
    return store.client().search_runs([experiment_id()], f"tags.fingerprint = '{fingerprint}'")


def history(run, key):
    return [(metric.step, metric.value) for metric in store.client().get_metric_history(run.info.run_id, key)]


def artifacts(run, folder):
    return [file.path for file in store.client().list_artifacts(run.info.run_id, folder)]


def experiment_id():
    return store.client().get_experiment_by_name("tests").experiment_id
