"""The commit of an experiment, and completed experiments. The working tree never changes."""

import pickle
import subprocess

import pytest
import yaml

from pipeline.schema import schema
from pipeline.studies import commit
from pipeline.studies.study import load_experiments


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


def create_stash(project, experiment):
    return commit.create_stash(experiment, commit.snapshot(), project.git("rev-parse", "HEAD"), "message")


def test_the_commit_has_the_edits_and_the_experiments_params(project, experiment):
    stash = create_stash(project, experiment)
    params = yaml.safe_load(project.git("show", f"{stash}:params.yaml"))
    assert schema.load(params) == schema.load(experiment.raw) and params["train"]["batch_size"] == 16
    assert list(params["models"]) == ["mean", "mel_fc"] and params["train"]["epochs"] == 7
    assert project.git("show", f"{stash}:params.yaml").startswith("# the settings\n")
    assert project.git("show", f"{stash}:pipeline/code.py") == "x = 2"
    names = project.git("diff", "--name-only", "HEAD", stash).splitlines()
    assert names == [".dvc/tmp/repro.dat", "dvc.lock", "params.yaml", "pipeline/code.py"]
    assert len(project.git("rev-list", "--parents", "-n1", stash).split()) == 3  # as a stash of Git


def test_the_working_tree_the_index_and_stashes_do_not_change(project, experiment):
    project.git("stash", "push", "-q", "--keep-index", "--", "README.md", "params.yaml")
    project.git("stash", "apply", "-q")

    def state():
        files = {p: p.read_bytes() for p in project.path.rglob("*") if p.is_file() and ".git" not in p.parts}
        return files, project.git("status", "--porcelain=v2"), project.git("stash", "list"), project.git("show-ref")

    before = state()
    create_stash(project, experiment)
    assert state() == before


def test_the_commit_tells_dvc_the_experiment_and_the_project(project, experiment):
    blob = f"{create_stash(project, experiment)}:{commit.ARGUMENTS_FILE}"
    content = subprocess.run(
        ["git", "cat-file", "blob", blob], cwd=project.path, capture_output=True, check=True
    ).stdout
    environment = pickle.loads(content)["kwargs"]["run_env"]
    assert environment["DVC_EXP_NAME"] == "mine" and environment["DVC_ROOT"] == str(project.path)


def complete(project, experiment):
    """Make it a completed experiment; return its commit."""
    stash, head = create_stash(project, experiment), project.git("rev-parse", "HEAD")
    project.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{experiment.full_name}", stash)
    return stash


def find_completed():
    return commit.find_completed(load_experiments("mine"), commit.snapshot())


def test_an_experiment_is_completed_while_params_and_code_are_the_same(project, experiment):
    assert find_completed() == {}
    stash = complete(project, experiment)
    assert find_completed() == {"mine": stash}
    (project.path / "README.md").write_text("another text\n")
    project.git("commit", "-qam", "text, and what was edited")  # another baseline
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("device: auto", "device: cpu"))
    assert find_completed() == {"mine": stash}  # no number depends on these
    (project.path / "params.yaml").write_text(params.replace("clip_norm: 1.0", "clip_norm: 2.0"))
    assert find_completed() == {}
    (project.path / "params.yaml").write_text(params)
    (project.path / "pipeline" / "code.py").write_text("x = 3\n")
    assert find_completed() == {}


def test_an_outdated_experiment_is_renamed(project, experiment):
    assert commit.rename_outdated(experiment) is None
    stash = complete(project, experiment)
    name = commit.rename_outdated(experiment)
    refs = project.git("for-each-ref", "refs/exps", "--format=%(objectname) %(refname:lstrip=4)")
    assert name == f"mine-{stash[:7]}" and refs == f"{stash} {name}"


def test_code_paths_cover_all_stages_whose_numbers_a_study_shows():
    paths = set(commit.code_paths())
    assert {"pipeline/losses", "pipeline/evaluation", "stages/train.py", "stages/evaluate.py"} <= paths
    assert not paths & {"stages/report.py", "pipeline/report", "stages/figures.py"}


def test_a_stage_of_the_user_may_have_no_dependency(project):
    before = set(commit.code_paths())
    dvc_yaml = project.path / "dvc.yaml"
    dvc_yaml.write_text(f"{dvc_yaml.read_text()}  mine:\n    cmd: echo mine\n")
    assert set(commit.code_paths()) == before
