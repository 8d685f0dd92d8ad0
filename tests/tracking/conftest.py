"""A project with an MLflow database."""

import pytest


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """One project for all: making its database takes seconds, as does starting MLflow beside a stage."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(autouse=True)
def project(database, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(database))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return database
