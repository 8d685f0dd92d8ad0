"""Runs in MLflow and their artifacts go with what `melisma gc` removes, and no others."""

import json
import shutil
from dataclasses import replace

import pytest

from pipeline.tracking import outbox, store
from tests.gc.conftest import Project, begin, enter, gc, listed

REFERRED = ("here", "branch", "older", "experiment", "tag")


@pytest.fixture
def recorded(template, tmp_path, monkeypatch):
    """A copy of the template, which is the current project."""
    folder = shutil.copytree(template.path, tmp_path / "project")
    enter(folder, monkeypatch)
    return Project(folder, template.runs)


@pytest.fixture(scope="module")
def template(tmp_path_factory, empty_store):
    """With a training of each kind of reference, one of none, and their runs in MLflow."""
    with pytest.MonkeyPatch.context() as patch:
        return record(begin(tmp_path_factory.mktemp("template"), patch), empty_store)


def record(project, empty_store):
    shutil.copy(empty_store, project.path)
    client = store.client()
    number = store.experiment(client, "melisma")

    def run(name, status="FINISHED", **tags):
        tags = {"variant": "mel_conv", "fingerprint": name, **tags}
        made = client.create_run(number, tags=tags, run_name=name).info.run_id
        client.log_text(made, "w" * 100, "figures/a.txt")
        if status != "RUNNING":
            client.set_terminated(made, status)
        project.runs[name] = made
        return made

    for training in (*REFERRED, "gone"):
        project.seed(training, run(training))
    run("studied", **{"study.sizes": "large"})
    run("failed", "FAILED")
    run("left", "RUNNING")  # by a stage that was killed
    client.set_terminated(client.create_run(number, run_name="foreign").info.run_id, "FAILED")  # not of Melisma
    reports = store.experiment(client, "melisma-reports")
    for day in range(5):
        made = client.create_run(reports, 1 + day, tags={"fingerprint": f"{day}"}, run_name=f"report-{day}").info.run_id
        client.log_text(made, "w" * 100, "report/index.html")
        client.set_terminated(made)
        project.runs[f"report-{day}"] = made
    for training in ("gone", "here"):
        model = client.create_logged_model(number, name=training, source_run_id=project.runs[training])
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


def test_only_what_nothing_refers_to_is_removed(recorded):
    orphan = recorded.path / "mlartifacts" / "melisma" / ("0" * 32)
    (orphan / "artifacts").mkdir(parents=True)
    runs = recorded.runs
    expected = {("seeds", "mel_conv-seed0 gone"), ("artifacts", str(orphan))}
    expected |= {
        ("runs", f"{name} {runs[name]}") for name in ("gone", "failed", "left", "deleted", "report-0", "report-1")
    }
    found = gc()
    assert listed(found) == expected and not found["removed"]
    assert all(item["bytes"] >= 100 for item in found["unused"] if item["kind"] in ("seeds", "runs"))
    assert (recorded.path / ".melisma" / "seeds" / "gone").exists()  # it was shown
    assert listed(gc("--yes")) == expected
    assert {path.name for path in (recorded.path / ".melisma" / "seeds").iterdir()} == set(REFERRED)
    left = {run.info.run_name for run in store.client().search_runs(["1"], run_view_type=3)}
    assert left == {*REFERRED, "studied", "evaluated-again", "trained-before", "registered", "foreign"}
    artifacts = recorded.path / "mlartifacts" / "melisma"
    assert {path.name for path in artifacts.iterdir()} == {runs[name] for name in left - {"foreign"}} | {"models"}
    reports = {path.name for path in artifacts.with_name("melisma-reports").iterdir()}
    assert reports == {runs[f"report-{day}"] for day in (2, 3, 4)}
    (model,) = store.client().search_logged_models(["1"])
    assert model.name == "here" and [path.name for path in (artifacts / "models").iterdir()] == [model.model_id]
    assert gc()["unused"] == []


def test_an_experiment_that_was_renamed_keeps_all_it_has(recorded):
    store.client().rename_experiment("1", "mine")
    orphan = recorded.path / "mlartifacts" / "melisma" / ("0" * 32)
    orphan.mkdir()
    assert {kind for kind, _ in listed(gc())} == {"seeds", "runs"}  # runs: of reports, which were not renamed
    store.experiment(store.client(), "melisma")  # as the next stage does, with artifacts in the same folder
    assert {name for kind, name in listed(gc()) if kind == "artifacts"} == {str(orphan)}


def test_no_run_is_removed_while_some_wait_to_be_sent(recorded, monkeypatch):
    (recorded.path / ".melisma" / "outbox").mkdir()
    waits = outbox.Waiting(recorded.path, "mel_conv-seed0", "train", outbox.here())
    monkeypatch.setattr(outbox, "waiting", lambda: [waits])
    found = gc("--yes")
    assert listed(found) == {("seeds", "mel_conv-seed0 gone")} and "melisma runs --send" in found["notes"][0]
    monkeypatch.setattr(outbox, "waiting", lambda: [replace(waits, store="http://there:5000")])
    found = gc()
    assert {kind for kind, _ in listed(found)} == {"runs"}
    assert found["notes"] == ["1 run waiting for MLflow at http://there:5000"]


def test_an_experiment_that_was_removed_refers_to_nothing(recorded):
    recorded.git("update-ref", "refs/exps/exec/EXEC_APPLY", "refs/exps/ab/cdef/brave-name")  # as DVC leaves it
    recorded.git("update-ref", "-d", "refs/exps/ab/cdef/brave-name")
    names = {name.split()[0] for kind, name in listed(gc()) if kind == "runs"}
    assert "experiment" in names and "branch" not in names


def test_a_run_that_a_stage_may_go_on_with_stays(recorded):
    shutil.rmtree(recorded.path / "data" / "models" / "mel_conv")  # as while it is trained
    recorded.seed("begun", recorded.runs["failed"], "checkpoints")
    assert ("runs", f"failed {recorded.runs['failed']}") not in listed(gc("--yes"))
    assert (recorded.path / ".melisma" / "checkpoints" / "begun").exists()


def test_runs_that_a_commit_may_refer_to_stay_where_the_cache_lacks_its_results(recorded):
    shutil.rmtree(recorded.path / ".dvc" / "cache")
    names = {name.split()[0] for _, name in listed(gc("--yes"))}
    assert names == {"report-0", "report-1"}
    assert len(store.client().search_runs(["1"])) == 13 and (recorded.path / ".melisma" / "seeds" / "gone").exists()
