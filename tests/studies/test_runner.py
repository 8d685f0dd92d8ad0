"""A study in DVC's queue, with a failure, an interrupt and a killed worker."""

import csv
import shutil
import signal
import time

import psutil
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core import workspace
from pipeline.studies import queue
from pipeline.tracking.run_folder import folder_for
from pipeline.training.config import TrainConfig
from tests.studies.conftest import build

PATIENCE = 240  # seconds
EPOCHS = TrainConfig().epochs  # of a variant that the study does not change


def await_start(project, training, times):
    """Wait until a training has started so many times."""
    end = time.monotonic() + PATIENCE
    while project.trainings().count(training) < times:
        assert time.monotonic() < end, project.trainings()
        time.sleep(0.1)


def training_processes():
    return [p.pid for p in psutil.process_iter(["cmdline"]) if "stand_in.py" in (p.info["cmdline"] or ())]


def test_a_study_continues_after_a_failure_an_interrupt_and_a_killed_worker(tmp_path, monkeypatch):
    """The project is a folder of a larger repository."""
    (tmp_path / "a folder").mkdir()
    project = build(tmp_path / "a folder")
    monkeypatch.chdir(project.path)
    (project.path / ".git").rename(tmp_path / ".git")
    project.git("add", "-A", ":/")
    project.git("commit", "-qm", "moved")
    grid = {"models.mel_conv.train.epochs": [5, 13, 60]}  # 5 works, 13 fails, 60 waits
    project.write("length", models=["mean", "mel_conv"], grid=grid)
    with (project.path / "params.yaml").open("a") as file:
        file.write("# an edit\n")
    before = project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()

    process = project.start("run", "length", "--jobs", "1")
    await_start(project, "mel_conv 60", 1)  # the last one: the queue has passed the failure
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130 and "`melisma study run length` shows them again" in output
    assert "epochs-5: running, train@mel_conv" in output or "epochs-5: done" in output
    assert (project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()) == before

    states = queue.states()
    assert {name[14:]: state.status for name, state in states.items()} == {"60": "running", "13": "failed"}
    assert states["length-epochs-60"].detail == "train@mel_conv, epoch 1 of 60"
    [worker] = queue.workers()
    psutil.Process(worker).kill()

    process = project.start("run", "length", "--jobs", "1")
    await_start(project, "mel_conv 60", 2)
    assert len(training_processes()) == 1  # that of the killed worker was ended
    workspace.state_folder().joinpath("go").touch()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "epochs-13: failed: train@mel_conv: the loss is not finite" in output
    assert project.trainings().count("mel_conv 5") == 1 and project.trainings().count("mel_conv 13") == 2
    assert "without a result: epochs-13" in output and not list((project.path / ".dvc/tmp/exps").glob("tmp*"))
    assert (project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()) == before

    # No experiment changes `mean`, so it has one row.
    with (project.path / "data" / "studies" / "length" / "table.csv").open(newline="") as file:
        columns = ("experiment", "variant", "epochs", "mse", "training_seconds")
        rows = [[row[key] for key in columns] for row in csv.DictReader(file)]
    assert rows == [
        ["epochs-5", "mel_conv", "5", str(1 / 5), "4.0"],
        ["epochs-60", "mel_conv", "60", str(1 / 60), "4.0"],
        ["epochs-5, epochs-60", "mean", "", str(1 / EPOCHS), "4.0"],
    ]
    assert folder_for(f"mean{EPOCHS}").meta["tags"] == {"study.length": "epochs-5,epochs-60"}
    assert not (project.path / "mlflow.db").exists()
    shutil.rmtree(project.path / ".dvc" / "cache")
    error = CliRunner().invoke(app, ["study", "table", "length"]).stderr
    assert error.startswith("error: length-epochs-5: DVC's cache lacks a file (") and error.count("\n") == 1
    assert "`dvc exp pull REMOTE length-epochs-5`" in error
