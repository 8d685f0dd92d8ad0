"""Which run a stage records, its tags and status, and its files."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.core.errors import TrainingError
from pipeline.tracking import publisher, run_tags, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import RunFolder, SeriesWriter, folder_for
from tests.tracking.conftest import CONFIG, IDENTITY, epoch, get, history, result, run_stage, runs

TRAINED = {"train": None, "loss": None, "input": "mel128", "representation": {"kind": "mel"}, "seconds": 1.0}


def test_train_evaluate_and_figures_share_a_run(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_params({"network": {"type": "conv2d", "norm": None, "labels": [], "channels": [8, 16]}, "seed": 3})
        for number in (1, 2):
            run.log_epoch(epoch(number))
        run.log_steps(1, [{"loss": 3.0, "reconstruction": 2.0, "kl": float("nan"), "grad_norm": 1.0, "other": 0.0}])
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "evaluate", IDENTITY, "e1") as run:
        assert not run.has_results
        run.log_evaluation(result())
    with record(CONFIG, "figures", IDENTITY, "e1") as run:
        assert run.has_results
        run.log_files(tmp_path, "artifacts/figures")
    (run,) = runs("abc")
    assert run.info.status == "FINISHED" and run.info.run_name == "mel_conv-seed3-brave-cat"
    assert run.data.params == {
        **{"network.type": "conv2d", "network.channels": "8, 16", "seed": "3", "evaluate.bootstrap": "20"}
    }
    assert history(run, "train/loss") == [(1, 1.0), (2, 0.5)] and history(run, "epoch/seconds") == [(1, 2.0), (2, 2.0)]
    assert run.data.metrics["epoch/peak_memory_megabytes"] > 50
    assert history(run, "step/loss") == [(1, 3.0)] and not history(run, "step/kl")
    assert run.data.metrics["test/mse"] == 0.5 and run.data.tags["collapsed"] == "no"
    tags = run.data.tags
    assert (tags["variant"], tags["seed"], tags["fingerprint"], tags["data"]) == ("mel_conv", "3", "abc", "def")
    assert (tags["dvc.stage"], tags["dvc.exp_name"], tags["evaluation"]) == ("figures", "brave-cat", "e1")
    assert len(tags["git.commit"]) == 40 and tags["git.dirty"] in ("true", "false")
    folder = project / "mlartifacts" / "tests" / run.info.run_id / "artifacts"
    assert (folder / "figures" / "a.png").read_bytes() == b"png"
    assert folder_for("abc").training_seconds() == 4.0


def test_the_run_of_a_vocoder_names_its_stage_and_is_continued(project):
    first = run_stage("vocoder", "again")
    second = run_stage("vocoder", "again")
    assert first.info.run_id == second.info.run_id and second.data.tags["dvc.stage"] == "vocoder"
    assert second.data.tags["mlflow.source.name"] == "stages/vocoder.py"


def test_another_evaluation_gets_its_own_run_and_a_repeated_one_does_not(project):
    trained = run_stage("train", "twice").info.run_id
    assert run_stage("evaluate", "twice", "e1").info.run_id == trained
    assert run_stage("evaluate", "twice", "e1").info.run_id == trained
    other = run_stage("evaluate", "twice", "e2")
    assert other.info.run_id != trained and other.data.tags["model_run"] == trained
    assert run_stage("figures", "twice", "e2").info.run_id == other.info.run_id
    assert run_stage("figures", "twice", "e1").info.run_id == trained


def test_an_attempt_after_a_failed_one_continues_its_run(project):
    with pytest.raises(TrainingError), record(CONFIG, "train", IDENTITY | {"fingerprint": "failed"}) as run:
        run.log_epoch(epoch(1))
        raise TrainingError("kl not finite in epoch 2")
    (failed,) = runs("failed")
    assert failed.info.status == "FAILED" and failed.data.tags["error"] == "kl not finite in epoch 2"
    trace = project / "mlartifacts" / "tests" / failed.info.run_id / "artifacts" / "error.txt"
    assert "TrainingError" in trace.read_text()
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", IDENTITY | {"fingerprint": "failed"}) as run:
        run.log_epoch(epoch(1, train_loss=7.0))  # a resumed training repeats its epochs
        run.log_epoch(epoch(2))
        raise KeyboardInterrupt
    publisher.publish_all({})  # the stage does not wait
    (killed,) = runs("failed")
    assert killed.info.status == "KILLED" and "error" not in killed.data.tags
    assert history(killed, "train/loss") == [(1, 1.0), (2, 0.5)]


def test_epochs_that_another_process_trained_are_filled_in(project, tmp_path):
    """The training was begun without a record, and the disk was full in its third epoch."""
    identity = IDENTITY | {"fingerprint": "filled"}
    with record(CONFIG, "train", identity) as run:
        run.log_epoch({"epoch": 1, "train_loss": 1.0})  # as a resumed training repeats it
        run.log_epoch(epoch(2))
    (tmp_path / "config.json").write_text(json.dumps(TRAINED))
    (tmp_path / "history.csv").write_text("epoch,train_loss\n1,1\n2,0.5\n3,0.25\n")
    with record(CONFIG, "evaluate", identity, "e1") as run:
        run.log_training(tmp_path)
    (found,) = runs("filled")
    assert history(found, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert history(found, "epoch/seconds") == [(2, 2.0)] and folder_for("filled").training_seconds() == 2.0


def test_a_training_outside_of_its_experiment_loses_the_experiments_tag_but_not_that_of_a_study(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("DVC_EXP_NAME", "brave-cat")
        run_stage("train", "moved")
    folder_for("moved").update(tags={"study.sizes": "large"})
    run = run_stage("train", "moved")
    assert "dvc.exp_name" not in run.data.tags and run.info.run_name == "mel_conv-seed3"
    assert run.data.tags["study.sizes"] == "large"
    folder_for("moved").update(tags={"study.sizes": None})
    assert "study.sizes" not in run_stage("evaluate", "moved", "e1").data.tags


def test_a_message_of_a_failed_stage_names_no_temporary_workspace(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError), record(CONFIG, "train", IDENTITY | {"fingerprint": "temporary"}):
        raise TrainingError(f"{tmp_path}/caf\udce9 is missing")  # a name that is not UTF-8
    assert get("temporary").data.tags["error"] == f"{project}/caf\\udce9 is missing"


def test_the_partial_line_of_a_killed_stage_is_ignored_and_replaced(tmp_path):
    folder = RunFolder(tmp_path)
    SeriesWriter(folder, "epoch").append([{"epoch": 1, "a": 0.5}])
    complete = folder.series_file("epoch").read_text()
    folder.series_file("epoch").write_text(complete + "2,17")
    assert [row["epoch"] for row in folder.read_series("epoch")[0]] == ["1"]
    SeriesWriter(folder, "epoch").append([{"epoch": 1, "a": 9.0}, {"epoch": 2, "a": 0.25}])
    rows, end = folder.read_series("epoch")
    assert [(row["epoch"], row["a"]) for row in rows] == [("1", "0.5"), ("2", "0.25")]
    assert folder.read_series("epoch", end) == ([], end)
    folder.series_file("epoch").write_text("epoch,ti")  # killed in the header
    SeriesWriter(folder, "epoch").append([{"epoch": 1, "a": 0.5}])
    assert [row["a"] for row in folder.read_series("epoch")[0]] == ["0.5"]


def test_messages_contain_no_password(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://bob:s3cret@127.0.0.1:9/mlflow")
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "secret"}):
        pass
    folder = folder_for("secret")
    assert "MLflow at postgresql://127.0.0.1:9/mlflow failed" in folder.sent["error"]
    assert "s3cret" not in "".join(file.read_text() for file in folder.path.iterdir() if file.is_file())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://bob:s3/c@r#et@127.0.0.1/mlflow")
    assert store.store_name() == "postgresql://127.0.0.1/mlflow"
    message = "no answer from http://bob:s3@cret@there:5000/mail?to=a@b.c"
    assert store.without_password(message) == "no answer from http://there:5000/mail?to=a@b.c"


def test_a_full_disk_stops_the_records_but_not_the_stage(project, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with record(CONFIG, "train", IDENTITY | {"fingerprint": "full"}) as run:
        monkeypatch.setattr(SeriesWriter, "append", fail)
        run.log_epoch(epoch(1))
        run.log_epoch(epoch(2))
    assert capsys.readouterr().err.count("warning: nothing more of mel_conv-seed3 is recorded") == 1
    monkeypatch.setattr(RunFolder, "update", fail)
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "full"}) as run:
        run.log_epoch(epoch(1))
    assert capsys.readouterr().err.count("warning:") == 1


def test_a_damaged_file_stops_the_records_but_not_the_stage(project, capsys):
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "damaged"}) as run:
        run.folder.series_file("epoch").write_text("nothing\n1\n")
        run.log_epoch(epoch(1))
    assert capsys.readouterr().err.count("warning: nothing more of mel_conv-seed3 is recorded") == 1


def test_stages_may_link_files_to_one_run_at_once(project, tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(b"png")
    folder = folder_for("linked")
    folder.path.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: folder.link(tmp_path, "artifacts/figures"), range(8)))
    assert len([*folder.path.glob("artifacts/figures/*.png")]) == 40


def test_a_run_has_no_git_tags_without_a_commit(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").touch()
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    for command in (["true"], ["git", "init", "-q"]):
        subprocess.run(command, check=True)
        assert not [key for key in run_tags.tags(IDENTITY, "train") if "git." in key]


def test_nothing_is_recorded_if_tracking_is_off(project):
    with record(TrackingConfig(enabled=False), "train", IDENTITY | {"fingerprint": "off"}) as run:
        run.log_epoch(epoch(1))
    assert not folder_for("off").path.exists()
