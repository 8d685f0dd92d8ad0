"""`melisma gc` removes only unused runs: their folders, and their runs, artifacts and models in MLflow."""

import shutil

import pytest

from pipeline.tracking import publish, store
from pipeline.tracking.run_folder import folder_for, run_folders
from tests.gc.conftest import Project, create_project, enter, gc, names

REFERENCED = ("here", "branch", "older", "experiment", "tag")


@pytest.fixture
def project(template, tmp_path, monkeypatch):
    """A copy of the template; it is the current project."""
    path = shutil.copytree(template.path, tmp_path / "project")
    enter(path, monkeypatch)
    for folder in run_folders():
        folder.update(store=store.store_name())
        folder.note_sent(folder.state, None)
    return Project(path, template.runs)


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_store):
    """A training for each kind of reference, one without, and their runs in MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        return fill(create_project(tmp_path_factory.mktemp("template"), patch), empty_store)


def fill(project, empty_store):
    shutil.copy(empty_store, project.path)
    client = store.client()
    trainings, reports = (store.ensure_experiment(client, name) for name in ("melisma", "melisma-reports"))

    def run(name, status="FINISHED", has_folder=True, ended=1, **tags):
        """Add a run; one of an earlier version has no folder."""
        is_report = name.startswith("report")
        tags = ({} if is_report else {"variant": "mel_conv", "seed": "0"}) | {"fingerprint": name} | tags
        run_id = client.create_run(reports if is_report else trainings, tags=tags, run_name=name).info.run_id
        client.log_text(run_id, "w" * 100, "figures/a.txt")
        if status != "RUNNING":
            client.set_terminated(run_id, status, ended)
        if has_folder:
            project.record_run(name, status, ended, run_id, {"study.earlier": None} | tags)
        project.runs[name] = run_id
        return run_id

    for training in (*REFERENCED, "gone"):
        project.store_training(training)
        run(training, has_folder=training != "older")
    run("failed", "FAILED")
    run("failed-before", "FAILED", has_folder=False)
    run("left", "RUNNING", has_folder=False)  # its stage was killed
    run("studied", **{"study.sizes": "large"})
    run("studied-again", fingerprint="studied")
    foreign = client.create_run(trainings, run_name="foreign")  # not a run of Melisma
    client.set_terminated(foreign.info.run_id, "FAILED")
    for day in range(1, 6):
        run(f"report-{day}", has_folder=day > 1, ended=day)
    for training in ("gone", "here"):
        model = client.create_logged_model(trainings, name=training, source_run_id=project.runs[training])
        file = project.path / "mlartifacts" / "melisma" / "models" / model.model_id / "artifacts" / "model"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"w" * 1000)
    client.delete_run(run("deleted"))
    client.create_registered_model("mel_conv")
    client.create_model_version("mel_conv", f"runs:/{run('registered')}/model", run_id=project.runs["registered"])

    project.commit("older")
    project.commit("tag")
    project.git("tag", "v1")
    project.git("checkout", "-qb", "other")
    project.commit("branch")
    project.git("checkout", "-q", "--detach", "main")
    project.commit("experiment")
    project.git("update-ref", "refs/exps/ab/cdef/brave-name", "HEAD")
    project.git("checkout", "-q", "main")
    (project.path / "data" / "models" / "mel_conv" / "seed-0" / "config.json").write_text('{"fingerprint": "here"}')
    return project


def unused_runs(unused):
    """The names of runs: in .melisma/runs, and in MLflow."""
    return [{name.split()[0] for kind, name in names(unused) if kind == other} for other in ("runs", "mlflow")]


def test_only_unused_runs_trainings_and_artifacts_are_removed(project):
    orphan = project.path / "mlartifacts" / "melisma" / ("0" * 32)
    (orphan / "artifacts").mkdir(parents=True)
    runs = project.runs
    with_folder, without = {"gone", "failed", "deleted", "report-2"}, {"failed-before", "left", "report-1"}
    expected = {("seeds", "mel_conv-seed0 gone"), ("artifacts", str(orphan))}
    expected |= {("runs", f"{name} {name}") for name in with_folder | {"registered"}}
    expected |= {("mlflow", f"{name} {runs[name]}") for name in with_folder | without}
    unused = gc()
    assert names(unused) == expected and not unused["removed"]
    assert all(item["bytes"] >= 100 for item in unused["unused"] if item["kind"] != "artifacts")
    assert (project.path / ".melisma" / "seeds" / "gone").exists()  # only listed
    assert names(gc("--yes")) == expected
    assert {path.name for path in (project.path / ".melisma" / "seeds").iterdir()} == set(REFERENCED)
    remaining = {*REFERENCED, "studied", "studied-again", "registered"}
    reports = {f"report-{day}" for day in (3, 4, 5)}
    assert {folder.path.name for folder in run_folders()} == remaining - {"older", "registered"} | reports
    in_mlflow = {run.info.run_name for run in store.client().search_runs(["1", "2"], run_view_type=3)}
    assert in_mlflow == remaining | reports | {"foreign"}
    artifacts = project.path / "mlartifacts" / "melisma"
    assert {path.name for path in artifacts.iterdir()} == {runs[name] for name in remaining} | {"models"}
    assert {path.name for path in artifacts.with_name("melisma-reports").iterdir()} == {runs[name] for name in reports}
    (model,) = store.client().search_logged_models(["1"])
    assert model.name == "here" and [path.name for path in (artifacts / "models").iterdir()] == [model.model_id]
    assert gc()["unused"] == [] and publish.send_pending() == (0, [])


def test_a_renamed_mlflow_experiment_keeps_its_runs_and_artifacts(project):
    store.client().rename_experiment("1", "mine")
    orphan = project.path / "mlartifacts" / "melisma" / ("0" * 32)
    orphan.mkdir()
    unused = gc()
    assert unused_runs(unused)[1] == {"report-1", "report-2"} and "artifacts" not in dict(names(unused))
    store.ensure_experiment(store.client(), "melisma")  # as the next stage does
    assert dict(names(gc()))["artifacts"] == str(orphan)


def test_runs_stay_while_mlflow_lacks_some(project):
    folder = folder_for("gone")
    folder.update(error="a change that is not sent")
    unused = gc("--yes")
    assert names(unused) == {("seeds", "mel_conv-seed0 gone")} and "melisma runs --send" in unused["notes"][0]
    folder.update(store="http://there:5000")
    unused = gc()
    assert all("failed" in runs and "gone" not in runs for runs in unused_runs(unused))
    assert unused["notes"] == ["1 run pending for MLflow at http://there:5000"]


def test_a_run_that_a_stage_records_stays(project):
    project.record_run("left", "RUNNING")
    with folder_for("left").hold():
        assert all("failed" in runs and "left" not in runs for runs in unused_runs(gc()))


def test_a_removed_dvc_experiment_refers_to_nothing(project):
    project.git("update-ref", "refs/exps/exec/EXEC_APPLY", "refs/exps/ab/cdef/brave-name")  # DVC leaves this
    project.git("update-ref", "-d", "refs/exps/ab/cdef/brave-name")
    assert all("experiment" in runs and "branch" not in runs for runs in unused_runs(gc()))


def test_a_run_that_a_stage_may_resume_stays(project):
    shutil.rmtree(project.path / "data" / "models" / "mel_conv")  # as during a training
    project.store_training("failed", "checkpoints")
    assert all("deleted" in runs and "failed" not in runs for runs in unused_runs(gc("--yes")))
    assert (project.path / ".melisma" / "checkpoints" / "failed").exists()


def test_only_old_reports_are_removed_if_the_cache_lacks_results(project):
    shutil.rmtree(project.path / ".dvc" / "cache")
    assert unused_runs(gc("--yes")) == [{"report-2"}, {"report-1", "report-2"}]
    assert (project.path / ".melisma" / "seeds" / "gone").exists()
