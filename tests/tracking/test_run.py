"""Runs in a real MLflow store."""

import subprocess

import pytest

from pipeline.core.errors import TrainingError
from pipeline.tracking import run_tags, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record

CONFIG = TrackingConfig(experiment="tests")
IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "abc", "data": "def"}


def get(run_id: str):
    return store.client().get_run(run_id)


def measured(run_id: str) -> dict[str, float]:
    """Metrics but for the machine's load, which takes a second to come."""
    return {key: value for key, value in get(run_id).data.metrics.items() if not key.startswith("system/")}


def test_train_evaluate_and_figures_share_a_run(project, tmp_path):
    with record(CONFIG, "train", IDENTITY) as run:
        run.params({"network": {"type": "conv2d", "norm": None, "labels": [], "channels": [8, 16]}, "seed": 3})
        for step in (1, 2):
            run.metrics({"train/loss": 1.0 / step, "absent": None}, step)
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "evaluate", run.identity, evaluation="e1") as second:
        second.metrics({"test/mse": 0.5})
    with record(CONFIG, "figures", second.identity) as third:
        third.folder(tmp_path, "figures")
    assert run.identity["run_id"] == second.identity["run_id"] == third.identity["run_id"]
    found = get(run.identity["run_id"])
    assert found.info.status == "FINISHED"
    assert found.data.params == {"network.type": "conv2d", "network.channels": "8, 16", "seed": "3"}
    assert measured(run.identity["run_id"]) == {"train/loss": 0.5, "test/mse": 0.5}
    history = store.client().get_metric_history(run.identity["run_id"], "train/loss")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 0.5)]
    tags = found.data.tags
    assert (tags["variant"], tags["seed"], tags["fingerprint"], tags["data"]) == ("mel_conv", "3", "abc", "def")
    assert tags["dvc.stage"] == "figures" and len(tags["git.commit"]) == 40 and tags["git.dirty"] in ("true", "false")
    artifact = project / "mlartifacts" / "tests" / run.identity["run_id"] / "artifacts" / "figures" / "a.png"
    assert artifact.read_bytes() == b"png"


def test_another_evaluation_takes_a_run_of_its_own_and_a_repeated_one_does_not():
    with record(CONFIG, "train", IDENTITY) as run:
        pass
    with record(CONFIG, "evaluate", run.identity, evaluation="e1") as first:
        pass
    with record(CONFIG, "evaluate", run.identity, evaluation="e1") as same:
        pass
    with record(CONFIG, "evaluate", run.identity, evaluation="e2") as other:
        pass
    assert first.identity == same.identity == run.identity
    assert other.identity["run_id"] != run.identity["run_id"]
    assert get(other.identity["run_id"]).data.tags["model_run"] == run.identity["run_id"]


def test_a_run_of_another_database_is_found_by_its_fingerprint_or_made():
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "shared"}) as here:
        pass
    with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "shared", "run_id": "0" * 32}) as found:
        pass
    assert found.identity["run_id"] == here.identity["run_id"]
    with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "unseen", "run_id": "0" * 32}) as made:
        pass
    assert get(made.identity["run_id"]).data.tags["fingerprint"] == "unseen"


def test_a_failed_run_is_not_continued_in_the_place_of_a_finished_one():
    identity = IDENTITY | {"fingerprint": "twice"}
    with record(CONFIG, "train", identity) as good:
        pass
    with pytest.raises(TrainingError), record(CONFIG, "train", identity):
        raise TrainingError("no")
    with record(CONFIG, "evaluate", identity | {"run_id": "0" * 32}) as found:
        pass
    assert found.identity["run_id"] == good.identity["run_id"]


def test_failure_and_interruption_are_seen_in_the_store(project):
    with pytest.raises(TrainingError), record(CONFIG, "train", IDENTITY) as failed:
        raise TrainingError("kl not finite in epoch 2")
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", IDENTITY) as killed:
        raise KeyboardInterrupt
    run = get(failed.identity["run_id"])
    assert run.info.status == "FAILED" and run.data.tags["error"] == "kl not finite in epoch 2"
    trace = project / "mlartifacts" / "tests" / run.info.run_id / "artifacts" / "error.txt"
    assert "TrainingError" in trace.read_text()
    assert get(killed.identity["run_id"]).info.status == "KILLED"


def test_experiment_name_of_dvc_is_in_tags_and_name(monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    with record(CONFIG, "train", IDENTITY) as run:
        pass
    found = get(run.identity["run_id"])
    assert found.data.tags["dvc.exp_name"] == "brave-cat" and found.info.run_name == "mel_conv-seed3-brave-cat"


def test_a_password_is_not_shown(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://bob:s3cret@127.0.0.1:9/mlflow")
    with record(CONFIG, "train", IDENTITY):
        pass
    said = capsys.readouterr().err
    assert said.count("warning:") == 1
    assert "postgresql://127.0.0.1:9/mlflow failed" in said and "s3cret" not in said


def test_a_password_may_have_an_at_sign():
    said = "no answer from http://bob:s3@cret@there:5000/mail?to=a@b.c"
    assert store.without_password(said) == "no answer from http://there:5000/mail?to=a@b.c"


def test_without_a_commit_there_is_no_tag_of_one(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for command in (["true"], ["git", "init", "-q"]):
        subprocess.run(command, check=True)
        assert not [key for key in run_tags.tags(IDENTITY, "train") if "git." in key]


def test_tracking_can_be_off():
    with record(TrackingConfig(enabled=False), "train", IDENTITY) as run:
        run.metrics({"a": 1.0})
    assert run.identity == IDENTITY | {"run_id": None}
