"""The commit of an experiment, and completed experiments. The working tree never changes."""

import os

import pytest
import yaml

from pipeline.schema import schema
from pipeline.studies import commit, queue, runner
from pipeline.studies.study import load_experiments
from tests.studies.conftest import complete


@pytest.fixture
def experiment(project):
    """An experiment in a project with edited params, staged code and an untracked file."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean", "mel_fc"])
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("batch_size: 8", "batch_size: 16  # more"))
    (project.path / "pipeline" / "code.py").write_text("x = 2\n")
    project.git("add", "pipeline/code.py")
    (project.path / "dvc.lock").write_text("schema: '2.0'\n")
    (project.path / "notes.txt").write_text("mine\n")
    return load_experiments("mine")[0]


def test_the_commit_has_the_edits_and_the_experiments_params(project, experiment):
    stash = queue.create_stash(experiment, commit.snapshot())
    params = yaml.safe_load(project.git("show", f"{stash}:params.yaml"))
    assert schema.load(params) == schema.load(experiment.raw) and params["train"]["batch_size"] == 16
    assert list(params["models"]) == ["mean", "mel_fc"] and params["train"]["epochs"] == 7
    assert project.git("show", f"{stash}:params.yaml").startswith("# the settings\n")
    assert project.git("show", f"{stash}:pipeline/code.py") == "x = 2"
    names = project.git("diff", "--name-only", "HEAD", stash).splitlines()
    assert names == [".dvc/tmp/repro.dat", "dvc.lock", "params.yaml", "pipeline/code.py"]


def test_the_working_tree_the_index_and_stashes_do_not_change(project, experiment):
    project.git("stash", "push", "-q", "--keep-index", "--", "README.md", "params.yaml")
    project.git("stash", "apply", "-q")

    def state():
        files = {p: p.read_bytes() for p in project.path.rglob("*") if p.is_file() and ".git" not in p.parts}
        return files, project.git("status", "--porcelain=v2"), project.git("stash", "list"), project.git("show-ref")

    before = state()
    queue.create_stash(experiment, commit.snapshot())
    assert state() == before


def find_results():
    """Name -> commit, and whether it has the present code."""
    os.utime("README.md")  # newer, but equal: Git must compare it first
    base = commit.snapshot()
    commits = runner.find_results(load_experiments("mine"), base)
    return {name: (revision, commit.has_code(revision, base)) for name, revision in commits.items()}


def test_a_result_is_current_while_params_and_code_are_the_same(project, experiment):
    assert find_results() == {}
    [stash] = complete(project, "mine", commit.snapshot())
    assert find_results() == {"mine": (stash, True)}
    (project.path / "README.md").write_text("another text\n")
    project.git("commit", "-qam", "text, and what was edited")  # another baseline
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("device: auto", "device: cpu"))
    assert find_results() == {"mine": (stash, True)}  # no number depends on these
    (project.path / "params.yaml").write_text(params.replace("clip_norm: 1.0", "clip_norm: 2.0"))
    assert find_results() == {}
    (project.path / "params.yaml").write_text(params)
    (project.path / "pipeline" / "code.py").write_text("x = 3\n")
    assert find_results() == {"mine": (stash, False)}
    [new] = complete(project, "mine", commit.snapshot())
    assert find_results() == {"mine": (new, True)}


def test_an_outdated_result_is_renamed_and_used_until_a_new_one_exists(project, experiment):
    assert queue.rename_result("mine") is None
    [stash] = complete(project, "mine", commit.snapshot())
    (project.path / "pipeline" / "code.py").write_text("x = 3\n")
    name = queue.rename_result("mine")
    refs = project.git("for-each-ref", "refs/exps", "--format=%(objectname) %(refname:lstrip=4)")
    assert name == f"mine-{stash[:7]}" and refs == f"{stash} {name}"
    assert find_results() == {"mine": (stash, False)}


def test_code_paths_cover_all_stages_whose_numbers_a_study_shows():
    paths = set(commit.code_paths())
    assert {"pipeline/losses", "pipeline/evaluation", "stages/train.py", "stages/evaluate.py"} <= paths
    assert not paths & {"stages/report.py", "pipeline/report", "stages/figures.py"}


def test_a_stage_of_the_user_may_have_no_dependency(project):
    with (project.path / "dvc.yaml").open("a") as file:
        file.write("  mine:\n    cmd: echo mine\n")
    assert set(commit.code_paths()) == {"stand_in.py", "pipeline"}
