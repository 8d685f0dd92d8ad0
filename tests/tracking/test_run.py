"""Which run a stage opens, its tags and status, in a real MLflow store."""

import subprocess

import pytest

from pipeline.core.errors import TrainingError
from pipeline.tracking import run_tags, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from tests.tracking.conftest import CONFIG, get, history

IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "abc", "data": "def"}


def open_and_close(stage, identity, evaluation=None):
    with record(CONFIG, stage, identity, evaluation) as run:
        pass
    return run.identity["run_id"]


def test_train_evaluate_and_figures_share_a_run(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_params({"network": {"type": "conv2d", "norm": None, "labels": [], "channels": [8, 16]}, "seed": 3})
        for step in (1, 2):
            run.log_series({step: {"train/loss": 1.0 / step}})
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "evaluate", run.identity, evaluation="e1") as second:
        second.log_series({0: {"test/mse": 0.5}})
    with record(CONFIG, "figures", second.identity) as third:
        third.log_folder(tmp_path, "figures")
    run_id = run.identity["run_id"]
    assert run_id == second.identity["run_id"] == third.identity["run_id"]
    found = get(run_id)
    assert found.info.status == "FINISHED" and found.info.run_name == "mel_conv-seed3-brave-cat"
    assert found.data.params == {"network.type": "conv2d", "network.channels": "8, 16", "seed": "3"}
    metrics = {key: value for key, value in found.data.metrics.items() if not key.startswith("system/")}
    assert metrics == {"train/loss": 0.5, "test/mse": 0.5} and history(run_id, "train/loss") == [(1, 1.0), (2, 0.5)]
    tags = found.data.tags
    assert (tags["variant"], tags["seed"], tags["fingerprint"], tags["data"]) == ("mel_conv", "3", "abc", "def")
    assert tags["dvc.stage"] == "figures" and tags["dvc.exp_name"] == "brave-cat"
    assert len(tags["git.commit"]) == 40 and tags["git.dirty"] in ("true", "false")
    artifact = project / "mlartifacts" / "tests" / run_id / "artifacts" / "figures" / "a.png"
    assert artifact.read_bytes() == b"png"


def test_another_evaluation_gets_its_own_run_and_a_repeated_one_does_not():
    trained = open_and_close("train", IDENTITY)
    identity = IDENTITY | {"run_id": trained}
    assert open_and_close("evaluate", identity, "e1") == trained
    assert open_and_close("evaluate", identity, "e1") == trained
    other = open_and_close("evaluate", identity, "e2")
    assert other != trained and get(other).data.tags["model_run"] == trained


def test_a_run_of_another_store_is_replaced_by_the_finished_one_of_its_fingerprint_or_a_new_one():
    foreign = IDENTITY | {"fingerprint": "shared", "run_id": "0" * 32}
    created = open_and_close("evaluate", foreign)
    assert get(created).data.tags["fingerprint"] == "shared"
    trained = open_and_close("train", IDENTITY | {"fingerprint": "shared"})
    with pytest.raises(TrainingError), record(CONFIG, "train", IDENTITY | {"fingerprint": "shared"}):
        raise TrainingError("no")  # a failed run does not count
    assert created != trained and open_and_close("evaluate", foreign) == trained


def test_status_and_error_of_a_run_that_fails_or_is_interrupted(project):
    with pytest.raises(TrainingError), record(CONFIG, "train", IDENTITY) as failed:
        raise TrainingError("kl not finite in epoch 2")
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", IDENTITY) as killed:
        raise KeyboardInterrupt
    run = get(failed.identity["run_id"])
    assert run.info.status == "FAILED" and run.data.tags["error"] == "kl not finite in epoch 2"
    trace = project / "mlartifacts" / "tests" / run.info.run_id / "artifacts" / "error.txt"
    assert "TrainingError" in trace.read_text()
    assert get(killed.identity["run_id"]).info.status == "KILLED"


def test_messages_contain_no_password(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://bob:s3cret@127.0.0.1:9/mlflow")
    open_and_close("train", IDENTITY)
    errors = capsys.readouterr().err
    assert errors.count("warning:") == 1
    assert "postgresql://127.0.0.1:9/mlflow failed" in errors and "s3cret" not in errors
    message = "no answer from http://bob:s3@cret@there:5000/mail?to=a@b.c"
    assert store.without_password(message) == "no answer from http://there:5000/mail?to=a@b.c"


def test_a_run_has_no_git_tags_without_a_commit(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for command in (["true"], ["git", "init", "-q"]):
        subprocess.run(command, check=True)
        assert not [key for key in run_tags.tags(IDENTITY, "train") if "git." in key]


def test_nothing_is_recorded_if_tracking_is_off():
    with record(TrackingConfig(enabled=False), "train", IDENTITY) as run:
        run.log_series({0: {"a": 1.0}})
    assert run.identity == IDENTITY | {"run_id": None}
