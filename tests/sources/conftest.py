"""Fixtures of the tests of downloads."""

import pytest

from pipeline.sources import fetch
from tests.sources.server import serve


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as running:
        yield running


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project as the current folder, and no pauses between tries."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").touch()
    (folder / "dvc.yaml").touch()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(fetch, "RETRIES", fetch.RETRIES.new(backoff_factor=0))
    return folder
