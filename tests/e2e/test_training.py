"""`dvc repro` after a training was killed gives the bytes that it would have given, in one MLflow run without a gap.

And two processes train one model, of which one alone writes.
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from pipeline.tracking.logged_values import epoch_metrics
from tests.e2e.conftest import clone, contents, environ

pytestmark = pytest.mark.e2e

EPOCHS = 20
VARIANTS = {
    "mel_vqvae": {
        "network": {"channels": [4, 8], "strides": 2, "components": 8},
        "bottleneck": {"codes": 8, "dim": 2, "prior_width": 8},
        "train": {"epochs": EPOCHS, "moving_average": 0.9},
    },
    "mel_conv": {
        "network": {"channels": [4, 8], "strides": 2, "components": 8},
        "bottleneck": {"latent": 4},
        "train": {"epochs": EPOCHS},
    },
}
MACHINE = ("epoch/seconds", "epoch/windows_per_second", "epoch/peak_memory_megabytes")  # not in history.csv


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    changes = {
        "models": VARIANTS,
        "runtime": {"checkpoint_seconds": 0},
        "train": {"batch_size": 2, "warmup_steps": 2},
        "tracking": {"enabled": True},
    }
    made = clone(tmp_path_factory.mktemp("resume"), changes, VARIANTS)
    made.repro("cache@mel128")
    return made


STAGE = (sys.executable, "-m", "stages.train")


def killed(project, command, wait):
    """Start a command and kill all of it, so many seconds after a new checkpoint; whether it was still training."""
    checkpoints = project.path / ".melisma" / "checkpoints"
    before = set(checkpoints.rglob("*.pt"))
    process = subprocess.Popen(command, cwd=project.path, env=environ(), stdout=-1, stderr=-2, start_new_session=True)
    while not set(checkpoints.rglob("*.pt")) - before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    time.sleep(wait)
    children = psutil.Process(process.pid).children(recursive=True)
    children = [child for child in children if os.getpgid(child.pid) == process.pid]  # the publisher lives on
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(children, timeout=30)
    return any(checkpoints.rglob("*.pt"))


def runs(project):
    """(run, status) of MLflow's database, and for each run its (metric, step)s that do not depend on luck."""
    query = (
        "select key, step from metrics where run_uuid = ? and key not like 'system/%' and key not like '%first_step%'"
    )
    with sqlite3.connect(project.path / "mlflow.db") as database:
        found = database.execute("select run_uuid, status from runs order by start_time").fetchall()
        steps = {run: database.execute(query, (run,)).fetchall() for run, _ in found}
    return found, steps


def check(project, variant, kills, seed):
    rng = random.Random(seed)
    project.set({"tracking": {"enabled": False}})
    project.run("python", "-m", "stages.train", variant)  # without DVC, which would remember the result
    whole = contents(project, variant)
    project.set({"tracking": {"enabled": True}})
    shutil.rmtree(project.path / ".melisma" / "seeds")
    shutil.rmtree(project.path / "data" / "models" / variant)
    commands = [("dvc", "repro", f"train@{variant}"), *[(*STAGE, variant)] * (kills - 1)]
    assert all(killed(project, command, rng.uniform(0, 1.2 / kills)) for command in commands)
    printed = project.run("dvc", "repro", f"train@{variant}")
    assert "going on after step" in printed
    assert contents(project, variant) == whole and len(whole) >= 5
    found, steps = runs(project)
    run, status = found[-1]
    history = pd.read_csv(project.path / "data" / "models" / variant / "seed-0" / "history.csv").to_dict("records")
    expected = [(key, row["epoch"]) for row in history for key in (*epoch_metrics(row), *MACHINE)]
    logged = [(key, step) for key, step in steps[run] if not key.startswith("step/")]
    assert status == "FINISHED" and len(history) == EPOCHS and sorted(logged) == sorted(expected)
    numbers = sorted(step for key, step in steps[run] if key == "step/loss")
    assert numbers == [*range(1, len(numbers) + 1)] and len(numbers) > len(numbers) % EPOCHS == 0
    assert not list((project.path / ".melisma" / "checkpoints").iterdir())


def test_killed_three_times_it_ends_with_the_same_bits(project):
    check(project, "mel_vqvae", 3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_twenty_times_it_ends_with_the_same_bits(project, variant):
    check(project, variant, 20, seed=1)


def test_with_another_param_it_begins_anew(project):
    assert killed(project, (*STAGE, "mel_conv"), 0.1)
    project.set({"models": {"mel_conv": {"train": {"learning_rate": 0.004}}}})
    printed = project.run(*STAGE, "mel_conv")
    assert "going on" not in printed
    found, _ = runs(project)
    assert [status for _, status in found[-2:]] == ["KILLED", "FINISHED"]


def test_two_processes_train_one_model(project):
    before = len(runs(project)[0])
    project.set({"train": {"devices": 2}, "models": {"mel_conv": {"train": {"epochs": 2}}}})
    printed = project.run(*STAGE, "mel_conv")
    assert printed.count("on 2 x cpu in fp32") == 1 and printed.count("epoch 2 of 2") == 1
    found, steps = runs(project)
    assert len(found) == before + 1 and found[-1][1] == "FINISHED"
    assert {step for key, step in steps[found[-1][0]] if key.startswith("epoch/")} == {1, 2}
    assert len(contents(project, "mel_conv")) == 7
    project.set({"train": {"devices": 4}})
    assert "train: batch_size 2 is no multiple of devices 4" in project.run(*STAGE, "mel_conv", expect=2)
