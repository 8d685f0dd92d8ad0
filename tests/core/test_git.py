"""Errors of Git commands say what to do."""

import subprocess

import pytest

from pipeline.core.errors import MelismaError
from pipeline.core.git import git


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project without a repository."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIT_DIR", raising=False)
    return tmp_path


def test_a_project_without_a_repository_needs_git_init(folder):
    with pytest.raises(MelismaError, match=r"git status failed: .*; run `git init`"):
        git("status")
    subprocess.run(["git", "init", "-q"], check=True)
    assert git("status", "--porcelain").split() == ["??", "dvc.yaml", "??", "params.yaml"]
    with pytest.raises(MelismaError) as raised:
        git("rev-parse", "--verify", "nosuch")
    assert "git init" not in str(raised.value)


def test_a_missing_git_is_named(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(MelismaError, match="no program git on PATH; install Git"):
        git("status")
