"""The results of a study from MLflow, as a table and a figure."""

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
from pipeline.report.formatting import NBSP
from pipeline.studies import figure, mlflow_runs, results, table
from pipeline.studies.study import load_experiments
from pipeline.tracking import calls, store
from tests.studies.conftest import build

EPOCHS = [5, 10, 20]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A study of three experiments: the first has two seeds, the last was not run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        project = build(tmp_path_factory.mktemp("project"))
        patch.chdir(project.path)
        project.write("scan", models=["mean", "mel_conv"], grid={"models.mel_conv.train.epochs": EPOCHS})
        create_run("mean", 0, "epochs-5,epochs-10", {"mse": 0.03})
        create_run(
            "mel_conv", 0, "epochs-5", {"mse": 0.02, "mse_low": 0.018, "mse_high": 0.024, "kl": 100.0}, seconds=30.0
        )
        create_run(
            "mel_conv", 1, "epochs-5", {"mse": 0.03, "mse_low": 0.028, "mse_high": 0.034, "kl": 120.0}, seconds=40.0
        )
        create_run("mel_conv", 0, "epochs-10", {"mse": 0.01, "kl": 1.0}, collapsed="1 of 64 units is active")
        create_run("mel_conv", 0, None, {"mse": 0.5})
        yield project


def create_run(variant, seed, names, metrics, seconds=None, collapsed="no", study="scan"):
    tags = {"variant": variant, "seed": str(seed), "collapsed": collapsed}
    tags |= {mlflow_runs.tag_name(study): names} if names else {}
    client = store.client()
    run_id = client.create_run(store.ensure_experiment(client, "melisma"), tags=tags).info.run_id
    for key, value in {"mel_mse": metrics["mse"], **metrics}.items():
        client.log_metric(run_id, f"test/{key}", value)
    errors = [metrics["mse"] + n / 100 for n in range(4)]
    tracks = {"track_id": list("abcd"), "group": list("xxyz"), "mse": errors, "mel_mse": errors}
    client.log_dict(run_id, tracks, calls.TRACKS_FILE)
    for epoch, value in enumerate([seconds - 10, 10.0] if seconds else [], 1):
        client.log_metric(run_id, "epoch/seconds", value, step=epoch)
    client.set_terminated(run_id)
    return run_id


@pytest.fixture
def rows(project):
    return results.read_rows("scan", load_experiments("scan"))


def test_rows_are_means_over_the_seeds(rows):
    assert [(row.name, row.variant) for row in rows] == [
        ("epochs-5", "mel_conv"),
        ("epochs-10", "mel_conv"),
        ("epochs-5, epochs-10", "mean"),  # no experiment changes it, so it has one run
    ]
    first, second, mean = rows
    assert (first.changes, mean.changes) == ({}, {}) and second.compared_with == "epochs-5"
    difference = second.changes["mel_mse"]
    assert difference.difference == pytest.approx(-0.015) and difference.high < 0
    assert (
        second.changes["mse"] == difference
        and second.reference.name == "epochs-5"
        and results.without_comparison(rows) == []
    )
    assert first.metrics["mse"] == pytest.approx(0.025) and first.metrics["mse_low"] == pytest.approx(0.023)
    assert (first.seeds, first.seconds, first.collapsed) == ([0, 1], 70.0, None)
    assert [row.settings for row in rows] == [{"epochs": 5}, {"epochs": 10}, {"epochs": None}]
    assert second.collapsed and mean.seconds is None
    assert results.without_result(load_experiments("scan"), rows) == ["epochs-20"]


def test_errors_are_compared_only_on_the_same_scale(rows):
    first, second, _ = rows
    pair = [first, replace(second, representation="another")]
    assert list(results._compare(pair, load_experiments("scan"))[1].changes) == ["mel_mse"]
    for ratio, columns in {1.0: 1, 1.001: 1, 3.0: 2}.items():  # the same error has one column
        scaled = [
            replace(row, metrics=row.metrics | {"mel_mse": ratio * row.metrics["mse"]}) for row in (first, second)
        ]
        assert table.format_text(scaled).splitlines()[0].count("against epochs-5") == columns
    assert results.without_comparison([first, replace(second, tracks=None)]) == ["epochs-10"]


def test_the_table_leaves_out_empty_columns(rows):
    lines = table.format_text(rows).splitlines()
    assert lines[0].split("  ")[0] == "experiment" and "label accuracy" not in lines[0]
    assert "0.0250 (0.0230–0.0290)" in lines[1] and " no " in lines[1]
    assert " yes " in lines[2] and "mel MSE against epochs-5" in lines[0]
    assert f"-60{NBSP}% (-60 to -60)" in lines[2]
    markdown = table.format_text(rows, is_markdown=True).splitlines()
    assert markdown[1].startswith("| --- | --- | ---: |")
    assert len({line.count("|") for line in markdown}) == 1
    records = list(csv.DictReader(io.StringIO(table.format_csv(rows))))
    assert float(records[0]["mse"]) == pytest.approx(0.025) and records[1]["collapsed"] == "1 of 64 units is active"


def test_the_command_table_prints_rows_and_missing_experiments_and_writes_files(project):
    result = CliRunner().invoke(app, ["study", "table", "scan"])
    assert result.exit_code == 0 and "epochs-10" in result.stdout
    assert "without a result: epochs-20; `melisma study run scan` runs them" in result.stderr
    files = {path.name for path in (project.path / "data" / "studies" / "scan").iterdir()}
    assert files == {"table.csv", "table.md", "figure.png"} and not project.git("status", "--porcelain", "data")
    printed = json.loads(CliRunner().invoke(app, ["study", "table", "scan", "--json"]).stdout)
    assert [row["variant"] for row in printed] == ["mel_conv", "mel_conv", "mean"]


def test_a_failing_store_gives_one_line_without_its_password(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MelismaError, match=r"^MLflow at http://127\.0\.0\.1:9 failed \(") as error:
        results.read_rows("scan", load_experiments("scan"))
    assert "secret" not in str(error.value)


def test_a_number_with_three_values_makes_curves_and_other_settings_dots(rows, tmp_path):
    def size(drawn):
        figure.draw(drawn, tmp_path / "figure.png")
        return Image.open(tmp_path / "figure.png").size

    first = rows[0]
    scan = [replace(first, experiments=[f"e{n}"], settings={"epochs": n}) for n in (1, 2, 4)]
    dots = [replace(first, experiments=[name], settings={"weighting": name}) for name in ("none", "musical", "a")]
    assert (
        figure._curve_key(scan) == "epochs" and figure._curve_key(dots) is None and figure._curve_key(scan[:2]) is None
    )
    assert size(scan)[1] > size(dots)[1]
    assert size(dots * 5)[1] > 2 * size(dots)[1]  # a line for each
    figure.draw([rows[2]], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()  # no variant is trained


def test_a_lower_bound_of_zero_is_drawn(rows):
    metrics = rows[0].metrics | {"probe_accuracy": 0.05, "probe_accuracy_low": 0.0, "probe_accuracy_high": 0.1}
    scan = [replace(rows[0], settings={"epochs": n}, metrics=metrics) for n in (1, 2, 4)]
    axes = {ax.get_title(): ax for ax in figure._draw_curves(scan, "epochs").axes}
    [band] = axes["Label accuracy"].collections
    assert band.get_paths()[0].get_extents().extents[[1, 3]] == pytest.approx([0.0, 0.1])


def test_no_file_is_written_without_a_run(project):
    project.write("other", grid={"train.clip_norm": [2.0]})
    assert table.write_results("other", results.read_rows("other", load_experiments("other"))) == []
    assert not (project.path / "data" / "studies" / "other").exists()


def test_a_run_has_the_tag_of_an_experiment_until_another_run_replaces_it(project, monkeypatch):
    old = create_run("mel_conv", 0, "epochs-5,epochs-10", {"mse": 0.1}, study="again")
    new = create_run("mel_conv", 0, None, {"mse": 0.1})
    monkeypatch.setattr(mlflow_runs, "_run_ids", lambda *_: [new])

    def tags(*completed):
        mlflow_runs.tag_runs("again", dict.fromkeys(completed, "commit"), load_experiments("scan"))
        return [store.client().get_run(run_id).data.tags.get("study.again") for run_id in (old, new)]

    assert tags() == ["epochs-5,epochs-10", None]
    assert tags("epochs-5") == ["epochs-10", "epochs-5"]
    assert tags("epochs-5", "epochs-10") == [None, "epochs-5,epochs-10"]
    assert [run.info.run_id for run in mlflow_runs.find_runs("again")] == [new]


def test_a_result_belongs_to_a_run_of_the_same_training_and_evaluation(project):
    run_ids = {}
    for evaluation, status in {"first": "FINISHED", "second": "FINISHED", "third": "FAILED"}.items():
        run_ids[evaluation] = create_run("mel_conv", 0, None, {"mse": 0.1})
        store.client().set_tag(run_ids[evaluation], "fingerprint", "trained")
        store.client().set_tag(run_ids[evaluation], "evaluation", evaluation)
        store.client().set_terminated(run_ids[evaluation], status)
    store.client().set_tag(run_ids["second"], "model_run", run_ids["first"])  # a run that only evaluates the model
    identity = {"fingerprint": "trained", "run_id": "of another machine"}
    expected = [run_ids["first"], run_ids["second"], None]
    assert [mlflow_runs._find_run(identity, name) for name in run_ids] == expected
    assert mlflow_runs._find_run({**identity, "run_id": run_ids["third"]}, "third") == run_ids["third"]


@pytest.mark.parametrize("error", [FileNotFoundError, DataIndexDirError])
def test_a_file_that_the_cache_lacks_gives_one_line_with_what_to_run(project, monkeypatch, error):
    def fail(*_):
        raise error("not there")

    monkeypatch.setattr("dvc.repo.Repo.dvcfs", SimpleNamespace(read_text=fail))
    [first, *_] = load_experiments("scan")
    match = r"^scan-epochs-5: DVC's cache lacks a file .not there.*`dvc exp pull REMOTE scan-epochs-5`"
    with pytest.raises(MelismaError, match=match):
        mlflow_runs.tag_runs("scan", {first.name: "HEAD"}, [first])


def test_the_command_show_lists_experiments_with_status_and_settings(project):
    lines = CliRunner().invoke(app, ["study", "show", "scan"]).stdout.splitlines()
    assert lines[0] == "variants: mean, mel_conv"
    assert lines[1].split() == ["epochs-5", "not", "run", "models.mel_conv.train.epochs:", "5"]
    listed = json.loads(CliRunner().invoke(app, ["study", "show", "scan", "--json"]).stdout)
    assert [one["settings"] for one in listed] == [{"models.mel_conv.train.epochs": number} for number in EPOCHS]
