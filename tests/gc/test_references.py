"""References from all commits."""

import shutil

from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.gc.references import collect_references
from tests.gc.conftest import Project, gc, names


def test_a_commit_may_have_params_that_are_not_utf_8(project):
    params = (project.path / "params.yaml").read_bytes()
    (project.path / "params.yaml").write_bytes("# größer\n".encode("latin-1") + params)
    project.commit("latin")
    (project.path / "params.yaml").write_bytes(params)
    project.store_training("latin")
    project.store_training("gone")
    assert names(gc()) == {("seeds", "mel_conv-seed0 gone")}


def test_all_trainings_stay_if_the_cache_lacks_a_result(project):
    digest = project.commit("elsewhere")
    cache = project.path / ".dvc" / "cache" / "files" / "md5"
    assert collect_references(cache).fingerprints == {"elsewhere"}
    (cache / digest[:2] / digest[2:]).unlink()
    assert collect_references(cache).incomplete_variants == {"mel_conv"}
    project.store_training("gone")
    unused = gc()
    assert unused["unused"] == [] and "trainings of mel_conv stay" in unused["notes"][0]


def test_stashes_and_worktrees_refer_to_results(project):
    project.commit("main")
    for number in range(2):
        project.write_lock(f"stash-{number}")
        project.git("stash")
    project.git("worktree", "add", "-q", "--detach", ".melisma/other")
    other = Project(project.path / ".melisma" / "other")
    project.git("checkout", "-q", "--detach")
    project.commit("worktree")
    other.git("checkout", "-q", "--detach", project.git("rev-parse", "HEAD"))
    project.git("checkout", "-q", "main")
    project.git("reflog", "expire", "--expire=now", "HEAD")
    references = collect_references(project.path / ".dvc" / "cache" / "files" / "md5")
    assert references.fingerprints == {"main", "stash-0", "stash-1", "worktree"}


def test_nothing_is_unused_without_git(project):
    project.store_training("gone")
    shutil.rmtree(project.path / ".git")
    result = CliRunner().invoke(app, ["gc"])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1


def test_the_training_of_a_vocoder_counts_like_that_of_a_variant(project):
    project.write_lock("of-a-vocoder", path="data/vocoders/mel128")
    assert collect_references(project.path / ".dvc" / "cache" / "files" / "md5").fingerprints == {"of-a-vocoder"}
