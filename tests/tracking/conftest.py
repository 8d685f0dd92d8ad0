"""A project with an MLflow database, and readers for runs."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.tracking import outbox, store
from pipeline.tracking.config import TrackingConfig

CONFIG = TrackingConfig(experiment="tests")


@pytest.fixture(scope="session")
def database(tmp_path_factory, empty_store):
    """One project for all tests, since each project has a sender, whose start takes seconds."""
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("project"))).parent


@pytest.fixture(autouse=True)
def project(database, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(database))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return database


def get(run_id):
    return store.client().get_run(run_id)


def history(run_id, key):
    return [(metric.step, metric.value) for metric in store.client().get_metric_history(run_id, key)]


def artifacts(run_id, folder):
    return [file.path for file in store.client().list_artifacts(run_id, folder)]


def experiment_id():
    return store.client().get_experiment_by_name("tests").experiment_id


def copy_to_outbox(run):
    """Copy a run's journal to the folder of an ended stage, so that the next stage sends it."""
    stage, lock = outbox.create_folder()
    folder = stage / run._journal.folder.name
    shutil.copytree(run._journal.folder, folder)
    os.close(lock)
    return folder
