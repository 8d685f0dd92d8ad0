"""A project with an MLflow database."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def database(tmp_path_factory, empty_store):
    """One project for all: starting MLflow beside a stage takes seconds."""
    return Path(shutil.copy(empty_store, tmp_path_factory.mktemp("project"))).parent


@pytest.fixture(autouse=True)
def project(database, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(database))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return database
