"""What an experiment is run from, and how a finished one is known again; the working tree is never touched."""

import pickle
import subprocess

import pytest
import yaml

from pipeline.schema import schema
from pipeline.studies import commit, completed
from pipeline.studies.study import experiments


@pytest.fixture
def one(project):
    """An experiment of a study in a project with edits: of the params, of code (staged), and a file unknown to Git."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean", "mel_fc"])
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("batch_size: 8", "batch_size: 16  # more"))
    (project.path / "pipeline" / "code.py").write_text("x = 2\n")
    project.git("add", "pipeline/code.py")
    (project.path / "dvc.lock").write_text("schema: '2.0'\n")
    (project.path / "notes.txt").write_text("mine\n")
    return experiments("mine")[0]


def stash(project, one):
    return commit.stash(one, commit.base(), project.git("rev-parse", "HEAD"), "message")


def test_a_commit_holds_the_edits_and_the_experiments_params(project, one):
    revision = stash(project, one)
    made = yaml.safe_load(project.git("show", f"{revision}:params.yaml"))
    assert schema.load(made) == schema.load(one.raw) and made["train"]["batch_size"] == 16
    assert list(made["models"]) == ["mean", "mel_fc"] and made["train"]["epochs"] == 7
    assert project.git("show", f"{revision}:params.yaml").startswith("# the settings\n")
    assert project.git("show", f"{revision}:pipeline/code.py") == "x = 2"
    names = project.git("diff", "--name-only", "HEAD", revision).splitlines()
    assert names == [".dvc/tmp/repro.dat", "dvc.lock", "params.yaml", "pipeline/code.py"]
    assert len(project.git("rev-list", "--parents", "-n1", revision).split()) == 3  # Git's form of a stash


def test_the_working_tree_its_index_and_the_users_stashes_stay_as_they_are(project, one):
    project.git("stash", "push", "-q", "--keep-index", "--", "README.md", "params.yaml")
    project.git("stash", "apply", "-q")

    def everything():
        files = {p: p.read_bytes() for p in project.path.rglob("*") if p.is_file() and ".git" not in p.parts}
        return files, project.git("status", "--porcelain=v2"), project.git("stash", "list"), project.git("show-ref")

    before = everything()
    stash(project, one)
    assert everything() == before


def test_dvc_is_told_the_experiment_and_where_the_project_is(project, one):
    blob = f"{stash(project, one)}:{commit.ARGUMENTS}"
    content = subprocess.run(
        ["git", "cat-file", "blob", blob], cwd=project.path, capture_output=True, check=True
    ).stdout
    environment = pickle.loads(content)["kwargs"]["run_env"]
    assert environment["DVC_EXP_NAME"] == "mine" and environment["DVC_ROOT"] == str(project.path)


def keep(project, one):
    """Make it a finished experiment."""
    revision, head = stash(project, one), project.git("rev-parse", "HEAD")
    project.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{one.full}", revision)
    return revision


def found():
    return completed.find(experiments("mine"), commit.base())


def test_an_experiment_is_finished_as_long_as_params_and_code_are_the_same(project, one):
    assert found() == {}
    revision = keep(project, one)
    assert found() == {"mine": revision}
    (project.path / "README.md").write_text("another text\n")
    project.git("commit", "-qam", "text, and what was edited")  # another baseline
    params = (project.path / "params.yaml").read_text()
    (project.path / "params.yaml").write_text(params.replace("device: auto", "device: cpu"))
    assert found() == {"mine": revision}  # no number depends on these
    (project.path / "params.yaml").write_text(params.replace("clip_norm: 1.0", "clip_norm: 2.0"))
    assert found() == {}
    (project.path / "params.yaml").write_text(params)
    (project.path / "pipeline" / "code.py").write_text("x = 3\n")
    assert found() == {}


def test_one_that_was_made_otherwise_keeps_its_result_under_another_name(project, one):
    assert completed.set_aside(one) is None
    revision = keep(project, one)
    name = completed.set_aside(one)
    kept = project.git("for-each-ref", "refs/exps", "--format=%(objectname) %(refname:lstrip=4)")
    assert name == f"mine-{revision[:7]}" and kept == f"{revision} {name}"


def test_every_code_that_a_number_depends_on_is_looked_at():
    paths = set(completed.code())
    assert {"pipeline/losses", "pipeline/evaluation", "stages/train.py", "stages/evaluate.py"} <= paths
    assert not paths & {"stages/report.py", "pipeline/report", "stages/figures.py"}


def test_a_stage_of_ones_own_may_have_no_dependency(project):
    before = set(completed.code())
    dvc_yaml = project.path / "dvc.yaml"
    dvc_yaml.write_text(f"{dvc_yaml.read_text()}  mine:\n    cmd: echo mine\n")
    assert set(completed.code()) == before
