"""`dvc repro` from a fresh clone: builds everything once, and then only what a change touches."""

import json

import mlflow
import pandas as pd
import pytest

pytestmark = pytest.mark.e2e

ALL = [
    "download",
    "windows",
    *(f"cache@{r}" for r in ("mel128", "wave3k")),
    "reference",
    *(f"{stage}@{v}" for stage in ("train", "evaluate", "figures") for v in ("mel_conv", "pca")),
    "report",
]


def test_everything_runs_once_and_then_nothing(project):
    assert sorted(project.ran_first) == sorted(ALL)
    assert (project.path / "data" / "report" / "index.html").stat().st_size > 100_000
    assert project.repro() == []
    assert not list((project.path / "data").rglob(".*.partial"))


def test_git_sees_only_the_lock(project):
    assert project.run("git", "status", "--porcelain").split() == ["??", "dvc.lock"]


def test_comparison_and_metrics_agree(project):
    comparison = json.loads((project.path / "data/report/comparison.json").read_text())
    assert list(comparison) == ["mel_conv", "pca"]
    for name, row in comparison.items():
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


def test_one_run_per_variant_holds_what_every_stage_found(project):
    client = mlflow.MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    experiment = client.get_experiment_by_name("melisma")
    runs = {r.data.tags["variant"]: r for r in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == ["mel_conv", "pca"]
    assert "test/mse" in runs["pca"].data.metrics and "test/kl" not in runs["pca"].data.metrics
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        if name == "pca":
            continue
        assert {"train/loss", "valid/mse", "epoch/beta", "test/mse", "test/kl"} <= set(run.data.metrics)
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2
        assert run.data.params["bottleneck.type"] == "gaussian"
        kept = {a.path for a in client.list_artifacts(run.info.run_id, "figures")}
        assert {"figures/reconstructions.png", "figures/audio"} <= kept
        written = json.loads((project.path / f"data/models/{name}/seed-0/run.json").read_text())
        assert written["run_id"] == run.info.run_id


def test_a_change_of_one_variant_retrains_it_alone(project):
    project.set({"models": {"mel_conv": {"bottleneck": {"latent": 5}}}})
    assert project.repro() == ["train@mel_conv", "evaluate@mel_conv", "figures@mel_conv", "report"]


def test_a_change_of_figures_trains_nothing(project):
    project.set({"figures": {"dpi": 60}})
    assert sorted(project.repro()) == ["figures@mel_conv", "figures@pca", "report"]


def test_a_change_of_runtime_or_tracking_makes_only_the_report_again(project):
    project.set({"runtime": {"workers": 2}, "tracking": {"experiment": "other"}})
    assert project.repro() == ["report"]


def test_experiments_in_a_temporary_workspace_leave_their_runs_here(project):
    """Also from the queue: DVC deletes the workspace, so nothing may point into it."""
    project.set({"tracking": {"experiment": "melisma"}})
    project.run("git", "commit", "-qam", "as it stands")
    one = ("-S", "models.mel_conv.loss.kl.beta=0.1")
    project.run("dvc", "exp", "run", "--temp", "-n", "aside", *one)
    project.run("dvc", "exp", "run", "--queue", "-n", "queued", "-S", "models.mel_conv.loss.kl.beta=0.2")
    project.run("dvc", "exp", "run", "--run-all")  # starts a worker for the queue and waits for it
    assert "Success" in project.run("dvc", "queue", "status")
    assert {"aside", "queued"} <= set(project.run("dvc", "exp", "list", "--name-only").split())
    client = mlflow.MlflowClient(f"sqlite:///{project.path}/mlflow.db")
    experiment = client.get_experiment_by_name("melisma")
    runs = {r.data.tags["dvc.exp_name"]: r for r in client.search_runs([experiment.experiment_id])}
    for name in ("aside", "queued"):
        assert runs[name].info.status == "FINISHED" and "test/mse" in runs[name].data.metrics
        assert runs[name].info.artifact_uri.startswith((project.path / "mlartifacts").as_uri())
        assert [a.path for a in client.list_artifacts(runs[name].info.run_id, "figures")]


def test_one_more_seed_trains_that_seed_alone(project):
    project.set({"seeds": [0, 1], "models": {"mel_conv": {"bottleneck": {"latent": 5}}}})
    printed = project.run("dvc", "repro", "train@mel_conv")
    assert "mel_conv seed 0: finished before" in printed and "mel_conv seed 1: " in printed
    project.repro("evaluate@mel_conv")
    metrics = json.loads((project.path / "data/evaluation/mel_conv/metrics.json").read_text())
    assert metrics["seeds"] == [0, 1]
    windows = pd.read_parquet(project.path / "data/evaluation/mel_conv/windows.parquet")
    assert windows.groupby("seed").size().nunique() == 1 and set(windows["seed"]) == {0, 1}
