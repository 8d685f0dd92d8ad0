"""A user's day on tiny data: build, edit, try losses side by side, compare, take the best, share it with a colleague.

The tests are the steps of the day, in this order, in one project. Those of `melisma repro` compare it with this build.
"""

import csv
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import pytest
import yaml

from tests.e2e.conftest import Project, contents, environ

pytestmark = pytest.mark.e2e

ALL = [
    "download",
    "windows",
    *(f"cache@{r}" for r in ("mel128", "wave3k", "wave22k")),
    *(f"vocoder@{name}" for name in ("mel128", "wave22k", "wave3k")),
    "reference",
    *(f"{stage}@{v}" for stage in ("train", "evaluate", "figures") for v in ("mel_conv", "pca")),
    "report",
]
METRICS = ["in_use", "kl", "mel_mse", "mse", "probe_accuracy", "collapsed"]
TRIED = ("l1", "beta-1", "beta-2")
BETA = "models.mel_conv.loss.kl.beta"


def comparison(project):
    """Rows of `dvc exp show` by experiment, for what differs between them."""
    shown = ("--only-changed", "--hide-failed", "--drop", "(data|pipeline|stages)/|Created|State|Executor", "--csv")
    printed = project.run("dvc", "exp", "show", *shown)
    lines = printed[printed.index("Experiment,") :].splitlines()
    return {row["Experiment"] or row["rev"]: row for row in csv.DictReader(lines)}


def runs(project):
    """The client of the project's MLflow, and its runs by the name of the experiment in which they were made."""
    client = mlflow.MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("melisma").experiment_id])
    return client, {run.data.tags.get("dvc.exp_name"): run for run in found}


def queued(project):
    """State of each experiment in the queue."""
    printed = project.run("dvc", "queue", "status")
    return dict(re.findall(r"^[0-9a-f]{7}\s+(\S+)\s.*\s(Queued|Running|Success|Failed)\s*$", printed, re.MULTILINE))


def data(project: Project) -> dict[str, bytes]:
    """The bytes of all files that stages write."""
    folder = project.path / "data"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def processes_left(folder: Path) -> list[psutil.Process]:
    """Processes that work in `folder`."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                left.append(process)
    return left


@pytest.fixture(scope="module")
def copy(project, tmp_path_factory):
    """The commit of `project`, which `dvc repro` built, without data."""
    folder = tmp_path_factory.mktemp("copy")
    project.run("git", "clone", "-q", str(project.path), str(folder / "project"))
    return Project(folder / "project")


def test_everything_is_built_once_and_then_nothing(project):
    assert sorted(project.ran_first) == sorted(ALL)
    assert (project.path / "data" / "report" / "index.html").stat().st_size > 100_000
    assert project.repro() == []
    assert not list((project.path / "data").rglob(".*.partial"))
    assert project.run("git", "status", "--porcelain").split() == ["??", "dvc.lock"]


def test_a_build_by_melisma_that_is_killed_at_random_goes_on_to_the_bytes_of_dvc(project, copy):
    command = ["melisma", "repro", "--jobs", "2"]
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        seconds = random.uniform(2, 10)
        process = subprocess.Popen(command, cwd=copy.path, env=environ(), stdout=-1, stderr=-1, text=True)
        time.sleep(seconds)
        process.send_signal(number)
        printed = "".join(process.communicate(timeout=60))
        assert "Traceback" not in printed and "FAILED" not in printed, (number, seconds, printed)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), (number, seconds, printed)
        assert psutil.wait_procs(processes_left(copy.path), timeout=30)[1] == [], (number, seconds)
    both = [subprocess.Popen(command, cwd=copy.path, env=environ(), stdout=-1, stderr=-1, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    waited = [text for text in printed if "another process is building this project" in text]
    assert len(waited) == 1 and waited[0].endswith("everything is up to date\n")
    assert data(copy) == data(project)
    assert copy.repro() == []


def test_a_stage_that_fails_stops_only_what_needs_it(copy):
    stage = copy.path / "stages" / "evaluate.py"
    text = stage.read_text()
    broken = '    if name == "pca":\n        raise SystemExit("error: broken")\n    raw = read_params()\n'
    stage.write_text(text.replace("    raw = read_params()\n", broken))
    printed = copy.run("melisma", "repro", expect=1)
    stage.write_text(text)
    assert "evaluate@pca failed: broken" in printed
    assert "error: 1 of 5 stages failed; not run, since they need what failed: figures@pca, report" in printed
    assert [line for line in printed.splitlines() if line.startswith("figures@mel_conv") and "done after" in line]
    assert "Traceback" not in printed


def test_wrong_params_stop_it_before_anything_runs(copy):
    params = copy.path / "params.yaml"
    text = params.read_text()
    params.write_text(yaml.safe_dump(yaml.safe_load(text) | {"seeds": []}))
    printed = copy.run("melisma", "repro", expect=2)
    params.write_text(text)
    assert printed.startswith("error: params.yaml: seeds")
    assert "nosuch" in copy.run("melisma", "repro", "nosuch", expect=1)
    copy.run("melisma", "repro")


def test_comparison_and_metrics_agree(project):
    compared = json.loads((project.path / "data/report/comparison.json").read_text())
    assert list(compared) == ["mel_conv", "pca"] and sorted(compared["mel_conv"]) == sorted(METRICS)
    for name, row in compared.items():
        metrics = json.loads((project.path / f"data/evaluation/{name}/metrics.json").read_text())
        windows = pd.read_parquet(project.path / f"data/evaluation/{name}/windows.parquet")
        expected = windows.groupby("track_id")["mse"].mean().mean()
        assert row["mse"] == metrics["mse"] == pytest.approx(expected)
    assert "mel_conv.mse" in project.run("dvc", "metrics", "show", "--md")


def test_plots_are_of_every_variant(project):
    shown = json.loads("{" + project.run("dvc", "plots", "show", "--json").partition("{")[2])
    names = {"Validation error by epoch", "KL by epoch", "Error on the common log-mel", "data/report/comparison.png"}
    assert names <= set(shown["data"]) and "errors" not in shown
    assert "mel_conv" in json.dumps(shown["data"]["Validation error by epoch"])
    page = (project.path / "data/report/index.html").read_text()
    assert all(f"dvc repro evaluate@{name}" in page for name in ("mel_conv", "pca"))


def test_a_change_of_runtime_or_tracking_makes_only_the_report_again(project):
    project.set({"runtime": {"workers": 2}, "tracking": {"enabled": True}})
    assert project.repro() == ["report"]


def test_an_edited_loss_trains_that_variant_alone(project):
    """The edit is an experiment of its own, and all of it happens where the user works."""
    project.run("git", "add", "dvc.lock")
    project.run("git", "commit", "-qam", "as it stands")
    project.set({"models": {"mel_conv": {"loss": {"reconstruction": {"type": "l1"}}}}})
    refused = project.run("python", "-m", "stages.evaluate", "mel_conv", expect=1)
    assert (
        "trained with loss.reconstruction.type gaussian, where params.yaml has l1; run `dvc repro --single-item --force"
        in refused
    )
    printed = project.run("dvc", "exp", "run", "-n", "l1")
    ran = [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage '")]
    assert ran == ["train@mel_conv", "evaluate@mel_conv", "figures@mel_conv", "report"]
    assert "models.mel_conv.loss.reconstruction.type" in project.run("dvc", "exp", "diff")
    project.run("git", "restore", "params.yaml", "dvc.lock")
    project.run("dvc", "checkout")
    assert project.repro() == []


def test_the_queue_goes_on_past_a_failure(project):
    broken = [
        f"+models.mel_conv.train.{value}" for value in ("learning_rate=1000", "weight_decay=1000", "warmup_steps=0")
    ]
    project.run("dvc", "exp", "run", "--queue", "-n", "broken", *(part for value in broken for part in ("-S", value)))
    printed = project.run("dvc", "exp", "run", "--queue", "-n", "beta", "-S", f"{BETA}=0.1,0.2")
    assert printed.count("Queued experiment") == 2
    project.run("sh", "-c", "dvc queue start -j 2 >/dev/null 2>&1")  # the workers would hold a pipe open
    while {"Queued", "Running"} & set((states := queued(project)).values()):
        time.sleep(3)  # each question takes some seconds of a core
    assert states == {"broken": "Failed", "beta-1": "Success", "beta-2": "Success"}
    assert "error: mel_conv seed 0: " in project.run("dvc", "queue", "logs", "broken")
    assert project.run("git", "status", "--porcelain") == ""


def test_what_differs_is_shown_and_nothing_else(project):
    rows = comparison(project)
    assert set(rows) == {"workspace", project.run("git", "branch", "--show-current").strip(), *TRIED}
    changed = [key for key in rows["l1"] if "." in key and not key.startswith("mel_conv.")]
    assert sorted(changed) == [BETA, "models.mel_conv.loss.reconstruction.type"]
    assert {key.partition(".")[2] for key in rows["l1"] if key.startswith("mel_conv.")} <= set(METRICS)
    assert (rows["l1"][BETA], rows["beta-1"][BETA], rows["beta-2"][BETA]) == ("1.0", "0.1", "0.2")
    assert len({row["mel_conv.kl"] for row in rows.values()}) == 4  # the workspace is as the branch
    for compare in (("metrics", "diff"), ("exp", "diff")):
        printed = project.run("dvc", *compare, "beta-1", "beta-2")
        assert re.search(r"mel_conv\.kl +0?\.?\d", printed) and "pca" not in printed
    plots = project.run("dvc", "plots", "diff", "beta-1", "beta-2", "--json")
    assert {"beta-1", "beta-2"} <= set(re.findall(r"beta-\d", plots))


def test_mlflow_has_a_run_of_each_that_holds_what_every_stage_found(project):
    client, found = runs(project)
    assert set(found) == {*TRIED, "broken"}
    for name in TRIED:
        run = found[name]
        assert run.info.status == "FINISHED" and run.info.run_name == f"mel_conv-seed0-{name}"
        assert {"train/loss", "valid/mse", "epoch/beta", "test/mse", "test/kl"} <= set(run.data.metrics)
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2
        assert run.data.params["bottleneck.type"] == "gaussian"
        kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")}
        assert {"figures/reconstructions.png", "figures/audio"} <= kept
    assert len({run.data.tags["fingerprint"] for run in found.values()}) == len(found)


def test_a_failed_experiment_is_seen_with_its_error_and_stage(project):
    client, found = runs(project)
    run = found["broken"]
    assert run.info.status == "FAILED" and run.data.tags["dvc.stage"] == "train"
    assert "not finite" in run.data.tags["error"]
    assert "error.txt" in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}


def test_nothing_points_into_a_temporary_workspace(project):
    """DVC deletes it after the experiment: neither the database nor an artifact nor a result may name it."""
    temporary = ".dvc/tmp/exps"
    with sqlite3.connect(project.path / "mlflow.db") as database:
        assert not [line for line in database.iterdump() if temporary in line]
    for folder in ("mlartifacts", ".dvc/cache", ".melisma"):
        files = [file for file in (project.path / folder).rglob("*") if file.is_file()]
        assert files and not [file for file in files if temporary.encode() in file.read_bytes()]
    _, found = runs(project)
    assert all(run.info.artifact_uri.startswith((project.path / "mlartifacts").as_uri()) for run in found.values())


def test_the_best_is_applied_and_nothing_is_left_to_do(project):
    rows = comparison(project)
    best = min(TRIED, key=lambda name: float(rows[name]["mel_conv.mse"]))
    project.run("dvc", "exp", "branch", best, "tried")
    project.run("dvc", "exp", "apply", best)
    assert project.repro() == []
    compared = json.loads((project.path / "data/report/comparison.json").read_text())
    assert compared["mel_conv"]["mse"] == pytest.approx(float(rows[best]["mel_conv.mse"]))
    project.run("git", "commit", "-qam", f"Loss of {best}")
    assert project.run("git", "diff", "--stat", "HEAD", "tried") == ""


@pytest.fixture(scope="module")
def colleague(project, tmp_path_factory):
    """A clone of what was pushed, elsewhere, without any data yet."""
    folder = tmp_path_factory.mktemp("shared")
    project.run("git", "init", "-q", "--bare", str(folder / "origin.git"))
    project.run("git", "remote", "add", "origin", str(folder / "origin.git"))
    project.run("dvc", "remote", "add", "--default", "storage", str(folder / "storage"))
    project.run("git", "commit", "-qam", "A place for data")
    project.run("git", "push", "-q", "origin", "HEAD")
    assert "pushed" in project.run("dvc", "push")
    project.run("git", "clone", "-q", str(folder / "origin.git"), str(folder / "clone"))
    return Project(folder / "clone")


def test_a_colleague_has_everything_without_training(colleague):
    assert "Data and pipelines are up to date." in colleague.run("dvc", "repro", "--dry", "--allow-missing")
    assert not (colleague.path / "data" / "report").exists()
    colleague.run("dvc", "pull")
    assert "mel_conv" in (colleague.path / "data" / "report" / "index.html").read_text()
    assert colleague.repro() == []


def test_a_colleague_evaluates_again_with_an_empty_mlflow_database(colleague):
    assert not (colleague.path / "mlflow.db").exists()
    colleague.set({"evaluate": {"samples": 2}})
    assert colleague.repro("evaluate@mel_conv") == ["evaluate@mel_conv"]
    _, found = runs(colleague)
    (run,) = found.values()
    assert run.info.status == "FINISHED" and "test/mse" in run.data.metrics
    (result,) = json.loads((colleague.path / "data/evaluation/mel_conv/seeds.json").read_text())
    assert {key: run.data.tags[key] for key in ("fingerprint", "evaluation")}.items() <= result.items()


def test_one_more_seed_trains_that_seed_alone(project):
    project.set({"seeds": [0, 1], "tracking": {"enabled": False}})
    printed = project.run("dvc", "repro", "train@mel_conv")
    assert "mel_conv seed 0: finished before" in printed and "mel_conv seed 1: " in printed
    project.repro("evaluate@mel_conv")
    metrics = json.loads((project.path / "data/evaluation/mel_conv/metrics.json").read_text())
    assert metrics["seeds"] == [0, 1]
    windows = pd.read_parquet(project.path / "data/evaluation/mel_conv/windows.parquet")
    assert windows.groupby("seed").size().nunique() == 1 and set(windows["seed"]) == {0, 1}


def test_a_change_of_figures_trains_nothing(project):
    project.set({"seeds": [0], "figures": {"dpi": 60}})
    assert sorted(project.repro()) == ["figures@mel_conv", "figures@pca", "report"]


def test_a_model_from_elsewhere_is_scored_and_nothing_else(project):
    """Its output is a copy of the originals."""
    files = project.path / "data" / "external" / "copy"
    assert "12 test windows at 16000 Hz" in project.run("melisma", "export-test", "-o", str(files), "--rate", "16000")
    project.set({"reference": {"external": {"copy": {"kbps": 256.0}}}})
    assert project.repro() == ["reference", "report"]
    rows = pd.read_csv(project.path / "data/report/comparison.csv").set_index("variant")
    assert rows.loc["copy", "role"] == "external" and rows.loc["copy", "kbps"] == 256
    assert rows.loc["copy", "mel_mse"] < 0.1 * rows.loc["mel_conv", "mel_mse"]
    assert rows.loc["Opus at 8 kbit/s", "audio_mel_distance"] > rows.loc["copy", "audio_mel_distance"]
    next(files.iterdir()).unlink()
    refused = project.run("dvc", "repro", expect=None)
    assert re.search(r"error: data/external/copy/\d+\.wav: missing; 1 of \d+ test windows have no file", refused)
    params = yaml.safe_load((project.path / "params.yaml").read_text())
    params["reference"]["external"] = {}  # `set` lays over what is there
    (project.path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.rmtree(files)
    project.repro()  # from DVC's cache
    assert "copy" not in (project.path / "data/report/comparison.csv").read_text()


def test_a_repeated_training_gives_the_same_bytes(project):
    """So DVC's status, run cache and pull see equality. The first training of mel_conv was a tracked experiment."""
    shutil.rmtree(project.path / ".melisma" / "seeds")
    for variant in ("mel_conv", "pca"):
        before = contents(project, variant)
        assert "finished before" not in project.run("python", "-m", "stages.train", variant)
        assert contents(project, variant) == before
    assert project.run("dvc", "status").splitlines()[-1] == "Data and pipelines are up to date."
