"""What is read of a study from MLflow, as a table and as a picture."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from dvc_data.index import DataIndexDirError
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core.errors import MelismaError
from pipeline.report.text import SPACE
from pipeline.studies import figure, runs, summary, table
from pipeline.studies.study import experiments
from pipeline.tracking import log, store
from tests.studies.conftest import build

EPOCHS = [5, 10, 20]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With the runs of a study of three experiments, the last of which was not run; the first has two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        made = build(tmp_path_factory.mktemp("project"))
        patch.chdir(made.path)
        made.write("scan", models=["mean", "mel_conv"], grid={"models.mel_conv.train.epochs": EPOCHS})
        logged("mean", 0, "epochs-5,epochs-10", {"mse": 0.03})
        logged("mel_conv", 0, "epochs-5", {"mse": 0.02, "mse_low": 0.018, "mse_high": 0.024, "kl": 100.0}, seconds=30.0)
        logged("mel_conv", 1, "epochs-5", {"mse": 0.03, "mse_low": 0.028, "mse_high": 0.034, "kl": 120.0}, seconds=40.0)
        logged("mel_conv", 0, "epochs-10", {"mse": 0.01, "kl": 1.0}, collapsed="1 of 64 units is active")
        logged("mel_conv", 0, None, {"mse": 0.5})  # of no study
        yield made


def logged(variant, seed, names, metrics, seconds=None, collapsed="no", study="scan"):
    tags = {"variant": variant, "seed": str(seed), "collapsed": collapsed}
    tags |= {runs.tag(study): names} if names else {}
    run = log.client().create_run(store.experiment(log.client(), "melisma"), tags=tags).info.run_id
    for key, value in {"mel_mse": metrics["mse"], **metrics}.items():
        log.client().log_metric(run, f"test/{key}", value)
    errors = [metrics["mse"] + n / 100 for n in range(4)]
    tracks = {"track_id": list("abcd"), "group": list("xxyz"), "mse": errors, "mel_mse": errors}
    log.client().log_dict(run, tracks, log.TRACKS)
    for epoch, value in enumerate([seconds - 10, 10.0] if seconds else [], 1):
        log.client().log_metric(run, "epoch/seconds", value, step=epoch)
    log.client().set_terminated(run)
    return run


@pytest.fixture
def rows(project):
    return table.read("scan", experiments("scan"))


def test_a_row_for_each_experiment_and_variant_of_means_over_the_seeds(rows):
    assert [(row.name, row.variant) for row in rows] == [
        ("epochs-5", "mel_conv"),
        ("epochs-10", "mel_conv"),
        ("epochs-5, epochs-10", "mean"),  # one run for both: nothing that they change is of this variant
    ]
    first, second, mean = rows
    assert (first.changes, mean.changes) == ({}, {}) and second.against == "epochs-5"
    pair = second.changes["mel_mse"].pair
    assert pair.difference == pytest.approx(-0.015) and pair.high < 0  # what tracks differ in cancels
    assert second.changes["mse"].pair == pair and table.uncompared(rows) == []
    assert first.metrics["mse"] == pytest.approx(0.025) and first.metrics["mse_low"] == pytest.approx(0.023)
    assert (first.seeds, first.seconds, first.collapsed) == ([0, 1], 70.0, None)
    assert [row.settings for row in rows] == [{"epochs": 5}, {"epochs": 10}, {"epochs": None}]
    assert second.collapsed and mean.seconds is None
    assert table.missing(experiments("scan"), rows) == ["epochs-20"]


def test_an_error_on_the_own_scale_is_compared_with_one_on_the_same(rows):
    first, second, _ = rows
    pair = [first, replace(second, scale="another")]
    assert list(table._compared(pair, experiments("scan"))[1].changes) == ["mel_mse"]
    for times, columns in {1.0: 1, 1.001: 1, 3.0: 2}.items():  # the same twice tells nothing
        shown = [replace(row, metrics=row.metrics | {"mel_mse": times * row.metrics["mse"]}) for row in (first, second)]
        assert table.text(shown).splitlines()[0].count("against epochs-5") == columns
    assert table.uncompared([first, replace(second, tracks=None)]) == ["epochs-10"]


def test_the_table_shows_what_there_is(rows):
    lines = table.text(rows).splitlines()
    assert lines[0].split("  ")[0] == "experiment" and "label accuracy" not in lines[0]  # nothing has it
    assert "0.0250 (0.0230–0.0290)" in lines[1] and " no " in lines[1]
    assert " yes " in lines[2] and "mel MSE against epochs-5" in lines[0]
    assert f"-60{SPACE}% (-60 to -60)" in lines[2]
    marked = table.text(rows, is_markdown=True).splitlines()
    assert marked[1].startswith("| --- | --- | ---: |") and all(
        line.count("|") == marked[0].count("|") for line in marked
    )
    read = list(csv.DictReader(io.StringIO(table.as_csv(rows))))
    assert float(read[0]["mse"]) == pytest.approx(0.025) and read[1]["collapsed"] == "1 of 64 units is active"


def test_the_command_prints_it_writes_its_files_and_names_what_is_missing(project):
    result = CliRunner().invoke(app, ["study", "table", "scan"])
    assert result.exit_code == 0 and "epochs-10" in result.stdout
    assert "without a result: epochs-20; `melisma study run scan` runs them" in result.stderr
    files = {path.name for path in (project.path / "data" / "studies" / "scan").iterdir()}
    assert files == {"table.csv", "table.md", "figure.png"} and not project.git("status", "--porcelain", "data")
    printed = json.loads(CliRunner().invoke(app, ["study", "table", "scan", "--json"]).stdout)
    assert [row["variant"] for row in printed] == ["mel_conv", "mel_conv", "mean"]


def test_a_store_that_fails_is_named_in_one_line(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MelismaError, match=r"^MLflow at http://127\.0\.0\.1:9 failed \(") as error:
        table.read("scan", experiments("scan"))
    assert "secret" not in str(error.value)


def test_a_number_with_enough_values_makes_curves_and_anything_else_dots(rows, tmp_path):
    def size(shown):
        assert figure.draw(shown, tmp_path / "made.png")
        return Image.open(tmp_path / "made.png").size

    first = rows[0]
    scan = [replace(first, experiments=[f"e{n}"], settings={"epochs": n}) for n in (1, 2, 4)]
    dots = [replace(first, experiments=[name], settings={"weighting": name}) for name in ("none", "musical", "a")]
    assert figure._axis(scan) == "epochs" and figure._axis(dots) is None and figure._axis(scan[:2]) is None
    assert size(scan)[1] > size(dots)[1]
    assert size(dots * 5)[1] > 2 * size(dots)[1]  # a line for each
    assert not figure.draw([rows[2]], tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_an_interval_that_begins_at_0_is_drawn_to_0(rows):
    metrics = rows[0].metrics | {"probe_accuracy": 0.05, "probe_accuracy_low": 0.0, "probe_accuracy_high": 0.1}
    scan = [replace(rows[0], settings={"epochs": n}, metrics=metrics) for n in (1, 2, 4)]
    axes = {ax.get_title(): ax for ax in figure._curves(scan, "epochs").axes}
    [band] = axes["Label accuracy"].collections
    assert band.get_paths()[0].get_extents().extents[[1, 3]] == pytest.approx([0.0, 0.1])


def test_without_a_run_there_is_no_file(project):
    project.write("other", grid={"train.clip_norm": [2.0]})
    assert summary.write("other", experiments("other")) == ([], [])
    assert not (project.path / "data" / "studies" / "other").exists()


def test_a_run_is_of_an_experiment_until_that_has_another_one(project, monkeypatch):
    old = logged("mel_conv", 0, "epochs-5,epochs-10", {"mse": 0.1}, study="again")
    new = logged("mel_conv", 0, None, {"mse": 0.1})
    monkeypatch.setattr(runs, "_runs", lambda *_: [new])

    def noted(*finished):
        runs.note("again", dict.fromkeys(finished, "revision"), experiments("scan"))
        return [log.client().get_run(run).data.tags.get(runs.tag("again")) for run in (old, new)]

    assert noted() == ["epochs-5,epochs-10", None]
    assert noted("epochs-5") == ["epochs-10", "epochs-5"]
    assert noted("epochs-5", "epochs-10") == [None, "epochs-5,epochs-10"]
    assert [run.info.run_id for run in runs.find("again")] == [new]


def test_a_result_is_of_a_run_of_the_same_training_and_the_same_evaluation(project):
    found = {}
    for evaluation, status in {"first": "FINISHED", "second": "FINISHED", "third": "FAILED"}.items():
        found[evaluation] = logged("mel_conv", 0, None, {"mse": 0.1})
        log.tag(found[evaluation], "fingerprint", "trained")
        log.tag(found[evaluation], "evaluation", evaluation)
        log.client().set_terminated(found[evaluation], status)
    log.tag(found["second"], "model_run", found["first"])  # as a stage does that evaluates a model once more
    identity = {"fingerprint": "trained", "run_id": "of another machine"}
    assert [runs._found(identity, name) for name in found] == [found["first"], found["second"], None]
    assert runs._found({**identity, "run_id": found["third"]}, "third") == found["third"]


@pytest.mark.parametrize("error", [FileNotFoundError, DataIndexDirError])
def test_a_result_that_is_not_in_the_cache_is_no_failure_of_mlflow(project, monkeypatch, error):
    def fail(*_):
        raise error("not there")

    monkeypatch.setattr("dvc.repo.Repo.dvcfs", SimpleNamespace(read_text=fail))
    [one, *_] = experiments("scan")
    with pytest.raises(MelismaError, match=r"^scan-epochs-5: a file .* DVC's cache .not there.; `dvc exp pull REMOTE"):
        runs.note("scan", {one.name: "HEAD"}, [one])


def test_the_command_shows_where_each_experiment_stands(project):
    shown = CliRunner().invoke(app, ["study", "show", "scan"]).stdout.splitlines()
    assert shown[0] == "variants: mean, mel_conv"
    assert shown[1].split() == ["epochs-5", "not", "run", "models.mel_conv.train.epochs:", "5"]
    found = json.loads(CliRunner().invoke(app, ["study", "show", "scan", "--json"]).stdout)
    assert [one["settings"] for one in found] == [{"models.mel_conv.train.epochs": number} for number in EPOCHS]
