"""What results refer to, wherever Git has them."""

import shutil

from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.gc import references
from tests.gc.conftest import Project, gc, listed


def test_a_commit_whose_params_are_no_utf_8_stops_nothing(project):
    params = (project.path / "params.yaml").read_bytes()
    (project.path / "params.yaml").write_bytes("# größer\n".encode("latin-1") + params)
    project.commit("latin", None)
    (project.path / "params.yaml").write_bytes(params)
    project.seed("latin")
    project.seed("gone")
    assert listed(gc()) == {("seeds", "mel_conv-seed0 gone")}


def test_a_result_that_the_cache_lacks_may_be_of_any_training(project):
    digest = project.commit("elsewhere", None)
    cache = project.path / ".dvc" / "cache" / "files" / "md5"
    assert references.collect(cache).fingerprints == {"elsewhere"}
    (cache / digest[:2] / digest[2:]).unlink()
    assert references.collect(cache).lacking == {"mel_conv"}
    project.seed("gone")
    found = gc()
    assert found["unused"] == [] and "trainings of mel_conv are kept" in found["notes"][0]


def test_stashes_and_worktrees_refer_to_results(project):
    project.commit("main", None)
    for number in range(2):
        project.lock(f"stash-{number}")
        project.git("stash")
    project.git("worktree", "add", "-q", "--detach", ".melisma/other")
    other = Project(project.path / ".melisma" / "other")
    project.git("checkout", "-q", "--detach")
    project.commit("worktree", None)
    other.git("checkout", "-q", "--detach", project.git("rev-parse", "HEAD"))
    project.git("checkout", "-q", "main")
    project.git("reflog", "expire", "--expire=now", "HEAD")
    known = references.collect(project.path / ".dvc" / "cache" / "files" / "md5")
    assert known.fingerprints == {"main", "stash-0", "stash-1", "worktree"}


def test_without_git_nothing_is_called_unused(project):
    project.seed("gone")
    shutil.rmtree(project.path / ".git")
    result = CliRunner().invoke(app, ["gc"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
