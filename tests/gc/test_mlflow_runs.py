"""`melisma gc` removes only unused MLflow runs, with their artifacts and models."""

import json
import shutil

import pytest

from pipeline.tracking import outbox, store
from tests.gc.conftest import Project, create_project, enter, gc, names

REFERENCED = ("here", "branch", "older", "experiment", "tag")


@pytest.fixture
def project(template, tmp_path, monkeypatch):
    """A copy of the template; it is the current project."""
    folder = shutil.copytree(template.path, tmp_path / "project")
    enter(folder, monkeypatch)
    return Project(folder, template.runs)


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_store):
    """A training for each kind of reference, one without, and their runs in MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        return fill(create_project(tmp_path_factory.mktemp("template"), patch), empty_store)


def fill(project, empty_store):
    shutil.copy(empty_store, project.path)
    client = store.client()
    experiment = store.ensure_experiment(client, "melisma")

    def run(name, status="FINISHED", **tags):
        tags = {"variant": "mel_conv", "fingerprint": name, **tags}
        run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        client.log_text(run_id, "w" * 100, "figures/a.txt")
        if status != "RUNNING":
            client.set_terminated(run_id, status)
        project.runs[name] = run_id
        return run_id

    for training in (*REFERENCED, "gone"):
        project.store_training(training, run(training))
    run("studied", **{"study.sizes": "large"})
    run("failed", "FAILED")
    run("left", "RUNNING")  # its stage was killed
    client.set_terminated(
        client.create_run(experiment, run_name="foreign").info.run_id, "FAILED"
    )  # not a run of Melisma
    reports = store.ensure_experiment(client, "melisma-reports")
    for day in range(5):
        name = f"report-{day}"
        run_id = client.create_run(reports, 1 + day, tags={"fingerprint": name}, run_name=name).info.run_id
        client.log_text(run_id, "w" * 100, "report/index.html")
        client.set_terminated(run_id)
        project.runs[name] = run_id
    for training in ("gone", "here"):
        model = client.create_logged_model(experiment, name=training, source_run_id=project.runs[training])
        file = project.path / "mlartifacts" / "melisma" / "models" / model.model_id / "artifacts" / "model"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"w" * 1000)
    run("evaluated-again", fingerprint="gone", model_run=run("trained-before", fingerprint="nobody's"))
    client.delete_run(run("deleted"))
    client.create_registered_model("mel_conv")
    client.create_model_version("mel_conv", f"runs:/{run('registered')}/model", run_id=project.runs["registered"])

    project.commit("older", None)
    project.commit("tag", None)
    project.git("tag", "v1")
    project.git("checkout", "-qb", "other")
    project.commit("branch", project.runs["evaluated-again"])
    project.git("checkout", "-q", "--detach", "main")
    project.commit("experiment", project.runs["experiment"])
    project.git("update-ref", "refs/exps/ab/cdef/brave-name", "HEAD")
    project.git("checkout", "-q", "main")
    identity = {"variant": "mel_conv", "seed": 0, "fingerprint": "here", "run_id": None}
    (project.path / "data" / "models" / "mel_conv" / "seed-0" / "run.json").write_text(json.dumps(identity))
    return project


def test_only_unused_runs_trainings_and_artifacts_are_removed(project):
    orphan = project.path / "mlartifacts" / "melisma" / ("0" * 32)
    (orphan / "artifacts").mkdir(parents=True)
    runs = project.runs
    expected = {("seeds", "mel_conv-seed0 gone"), ("artifacts", str(orphan))}
    expected |= {
        ("runs", f"{name} {runs[name]}") for name in ("gone", "failed", "left", "deleted", "report-0", "report-1")
    }
    unused = gc()
    assert names(unused) == expected and not unused["removed"]
    assert all(item["bytes"] >= 100 for item in unused["unused"] if item["kind"] in ("seeds", "runs"))
    assert (project.path / ".melisma" / "seeds" / "gone").exists()  # only listed
    assert names(gc("--yes")) == expected
    assert {path.name for path in (project.path / ".melisma" / "seeds").iterdir()} == set(REFERENCED)
    remaining = {run.info.run_name for run in store.client().search_runs(["1"], run_view_type=3)}
    assert remaining == {*REFERENCED, "studied", "evaluated-again", "trained-before", "registered", "foreign"}
    artifacts = project.path / "mlartifacts" / "melisma"
    assert {path.name for path in artifacts.iterdir()} == {runs[name] for name in remaining - {"foreign"}} | {"models"}
    reports = {path.name for path in artifacts.with_name("melisma-reports").iterdir()}
    assert reports == {runs[f"report-{day}"] for day in (2, 3, 4)}
    (model,) = store.client().search_logged_models(["1"])
    assert model.name == "here" and [path.name for path in (artifacts / "models").iterdir()] == [model.model_id]
    assert gc()["unused"] == []


def test_a_renamed_mlflow_experiment_keeps_its_runs_and_artifacts(project):
    store.client().rename_experiment("1", "mine")
    orphan = project.path / "mlartifacts" / "melisma" / ("0" * 32)
    orphan.mkdir()
    assert {kind for kind, _ in names(gc())} == {"seeds", "runs"}  # the runs are reports
    store.ensure_experiment(store.client(), "melisma")  # as the next stage does
    assert {name for kind, name in names(gc()) if kind == "artifacts"} == {str(orphan)}


def test_all_runs_stay_while_some_are_pending(project, monkeypatch):
    (project.path / ".melisma" / "outbox").mkdir()
    monkeypatch.setattr(outbox, "pending_runs", lambda: {project.path: outbox.store_name()})
    unused = gc("--yes")
    assert names(unused) == {("seeds", "mel_conv-seed0 gone")} and "melisma runs --send" in unused["notes"][0]
    monkeypatch.setattr(outbox, "pending_runs", lambda: {project.path: "http://there:5000"})
    unused = gc()
    assert {kind for kind, _ in names(unused)} == {"runs"}
    assert unused["notes"] == ["1 run pending for MLflow at http://there:5000"]


def test_a_removed_dvc_experiment_refers_to_nothing(project):
    project.git("update-ref", "refs/exps/exec/EXEC_APPLY", "refs/exps/ab/cdef/brave-name")  # DVC leaves this
    project.git("update-ref", "-d", "refs/exps/ab/cdef/brave-name")
    runs = {name.split()[0] for kind, name in names(gc()) if kind == "runs"}
    assert "experiment" in runs and "branch" not in runs


def test_a_run_that_a_stage_may_resume_stays(project):
    shutil.rmtree(project.path / "data" / "models" / "mel_conv")  # as during a training
    project.store_training("begun", project.runs["failed"], "checkpoints")
    assert ("runs", f"failed {project.runs['failed']}") not in names(gc("--yes"))
    assert (project.path / ".melisma" / "checkpoints" / "begun").exists()


def test_only_old_reports_are_removed_if_the_cache_lacks_results(project):
    shutil.rmtree(project.path / ".dvc" / "cache")
    removed = {name.split()[0] for _, name in names(gc("--yes"))}
    assert removed == {"report-0", "report-1"}
    assert len(store.client().search_runs(["1"])) == 13 and (project.path / ".melisma" / "seeds" / "gone").exists()
