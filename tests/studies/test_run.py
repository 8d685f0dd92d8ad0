"""A study through DVC's queue: followed, interrupted, with a failure and a worker that is killed."""

import csv
import json
import signal
import time

import psutil

from pipeline.core import workspace
from pipeline.studies import queue
from tests.studies.conftest import build

PATIENCE = 240  # seconds


def await_begun(project, training, times):
    """Wait until a training was begun so many times."""
    until = time.monotonic() + PATIENCE
    while project.ran().count(training) < times:
        assert time.monotonic() < until, project.ran()
        time.sleep(0.1)


def test_a_study_goes_on_past_a_failure_an_interrupt_and_a_killed_worker(project):
    grid = {"models.mel_conv.train.epochs": [5, 13, 60]}  # one that works, one that fails, one that waits
    project.write("length", models=["mean", "mel_conv"], grid=grid)
    with (project.path / "params.yaml").open("a") as file:
        file.write("# an edit\n")
    before = project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()

    followed = project.start("run", "length", "--jobs", "1")
    await_begun(project, "mel_conv 60", 1)  # the last: the queue has gone on past the failure
    followed.send_signal(signal.SIGINT)
    printed, _ = followed.communicate()
    assert followed.returncode == 130 and "`melisma study run length` follows again" in printed
    assert "epochs-5: running, train@mel_conv" in printed or "epochs-5: done" in printed
    assert (project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()) == before

    with queue.opened() as opened:
        states = opened.states({"length-epochs-60", "length-epochs-13", "length-epochs-5"})
        assert {name[14:]: state.status for name, state in states.items()} == {"60": "running", "13": "failed"}
        assert states["length-epochs-60"].detail == "train@mel_conv, epoch 1 of 60"
        [worker] = opened.workers()
        psutil.Process(worker).kill()

    followed = project.start("run", "length", "--jobs", "1")
    await_begun(project, "mel_conv 60", 2)  # its process of before was ended
    workspace.state().joinpath("go").touch()
    printed, _ = followed.communicate(timeout=PATIENCE)
    assert followed.returncode == 1 and "epochs-13: failed: train@mel_conv: the loss is not finite" in printed
    assert project.ran().count("mel_conv 5") == 1 and project.ran().count("mel_conv 13") == 2
    assert "without a result: epochs-13" in printed and not list((project.path / ".dvc/tmp/exps").glob("tmp*"))
    assert (project.git("status", "--porcelain"), (project.path / "params.yaml").read_text()) == before

    # The runs were made from the files, since the stand-in logs nothing; what no experiment changes has one for all.
    with (project.path / "data" / "studies" / "length" / "table.csv").open(newline="") as file:
        rows = [
            [row[key] for key in ("experiment", "variant", "epochs", "mse", "seconds")] for row in csv.DictReader(file)
        ]
    assert rows == [
        ["epochs-5", "mel_conv", "5", str(1 / 5), "4.0"],
        ["epochs-60", "mel_conv", "60", str(1 / 60), "4.0"],
        ["epochs-5, epochs-60", "mean", "", str(1 / 20), "4.0"],
    ]


def test_a_study_of_a_project_that_is_a_folder_of_a_repository(tmp_path):
    (tmp_path / "a folder").mkdir()
    project = build(tmp_path / "a folder")
    (project.path / ".git").rename(tmp_path / ".git")
    project.git("add", "-A", ":/")
    project.git("commit", "-qm", "moved")
    project.write("mine", overrides={"models.mel_conv.train.epochs": 5}, models=["mel_conv"])
    project.study("run", "mine", "--jobs", "1")
    [row] = json.loads(project.study("table", "mine", "--json"))
    assert (row["variant"], row["mse"]) == ("mel_conv", 1 / 5)
