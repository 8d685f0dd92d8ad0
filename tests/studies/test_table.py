"""The results of a study from the files of its experiments, as a table and a figure."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.report.formatting import NBSP
from pipeline.studies import commit, figure, queue, results, runner, table
from pipeline.studies.study import load_experiments
from pipeline.tracking import publisher
from pipeline.tracking.run_folder import folder_for
from tests.studies.conftest import METRICS, build, complete

EPOCHS = [5, 10, 20]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A study of three experiments with two seeds; the last was not run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        project = build(tmp_path_factory.mktemp("project"))
        patch.chdir(project.path)
        project.write("scan", models=["mean", "mel_conv"], grid={"models.mel_conv.train.epochs": EPOCHS})
        commits = complete(project, "scan", commit.snapshot())
        folders = {revision: Path("kept") / revision for revision in commits}
        for revision in commits[:2]:
            write(folders[revision], "mean", "m", [0.03, 0.03], baseline=True, collapsed=None)
        write(
            folders[commits[0]], "mel_conv", "a", [0.02, 0.03], mse_low=0.023, mse_high=0.029, kl=100.0, latent_dims=64
        )
        sizes = pd.DataFrame({"latent": [0, 64], "mse": [0.03, 0.02]})  # as if the baseline of the first were PCA
        sizes.to_parquet(folders[commits[0]] / "data" / "evaluation" / "mean" / "sizes.parquet")
        write(
            folders[commits[1]],
            "mel_conv",
            "b",
            [0.005, 0.015],
            collapsed=True,
            collapse_reason="1 of 64 units",
            latent_dims=9,
            mse_components=0.02,
        )
        for fingerprint, epochs in {"a0": "1,20\n2,10\n", "a1": "1,40\n", "b0": ""}.items():
            run = folder_for(fingerprint)
            run.path.mkdir(parents=True)
            run.update(tags={}, evaluation="e")
            run.series_file("epoch").write_text(f"epoch,seconds\n{epochs}")
        last = project.git("for-each-ref", "refs/exps/*/*/scan-epochs-20", "--format=%(refname)")
        project.git("update-ref", "-d", last)
        patch.setattr(queue, "files_at", lambda key: nullcontext(DirFileSystem(folders[key], LocalFileSystem())))
        yield project


def write(folder, variant, fingerprint, errors, **changes):
    """Write the evaluation of a variant: a seed for each error."""
    out = folder / "data" / "evaluation" / variant
    out.mkdir(parents=True)
    mse = sum(errors) / len(errors)
    metrics = dict.fromkeys(METRICS) | {"mse": mse, "mel_mse": mse, "baseline": False, "collapsed": False}
    (out / "metrics.json").write_text(json.dumps(metrics | {"collapse_reason": None} | changes))
    seeds = [{"seed": n, "fingerprint": f"{fingerprint}{n}", "evaluation": "e"} for n in range(len(errors))]
    (out / "seeds.json").write_text(json.dumps(seeds))
    rows = [(n, "abcd"[i], "xxyz"[i], error + i / 100) for n, error in enumerate(errors) for i in range(4)]
    windows = pd.DataFrame(rows, columns=["seed", "track_id", "group", "mse"])
    windows.assign(mel_mse=windows["mse"]).to_parquet(out / "windows.parquet")


@pytest.fixture
def rows(project):
    experiments, base = load_experiments("scan"), commit.snapshot()
    return results.read_rows(experiments, runner.find_results(experiments, base), base)


def test_rows_have_the_metrics_of_all_seeds(rows):
    assert [(row.name, row.variant) for row in rows] == [
        ("epochs-5", "mel_conv"),
        ("epochs-10", "mel_conv"),
        ("epochs-5, epochs-10", "mean"),  # no experiment changes it, so it has one result
    ]
    first, second, mean = rows
    assert (first.changes, mean.changes) == ({}, {}) and second.compared_with == "epochs-5"
    difference = second.changes["mel_mse"]
    assert difference.difference == pytest.approx(-0.015) and difference.high < 0
    assert second.changes["mse"] == difference and second.reference.name == "epochs-5"
    assert first.metrics["mse"] == pytest.approx(0.025) and first.metrics["mse_low"] == pytest.approx(0.023)
    assert [row.settings for row in rows] == [{"epochs": 5}, {"epochs": 10}, {"epochs": None}]
    assert [row.pca_ratio for row in rows] == [pytest.approx(0.025 / 0.02), pytest.approx(0.01 / 0.02), None]
    assert [row.seconds for row in rows] == [70.0, None, None]  # this machine trained all seeds of the first alone


def test_errors_are_compared_only_on_the_same_scale(rows):
    first, second, _ = rows
    other_scale = replace(second, scale="another")
    assert list(results._compare(other_scale, "epochs-5", [first]).changes) == ["mel_mse"]
    for ratio, columns in {1.0: 1, 1.001: 1, 3.0: 2}.items():  # the same error has one column
        scaled = [replace(r, metrics=r.metrics | {"mel_mse": ratio * r.metrics["mse"]}) for r in (first, second)]
        assert table.format_text(scaled).splitlines()[0].count("against epochs-5") == columns


def test_the_table_leaves_out_empty_columns(rows):
    lines = table.format_text(rows).splitlines()
    assert lines[0].split("  ")[0] == "experiment" and "label accuracy" not in lines[0]
    assert "0.0250 (0.0230–0.0290)" in lines[1] and " no " in lines[1]
    assert "against PCA of its size" in lines[0] and f" 1.25{NBSP}× " in lines[1]
    assert lines[1].endswith(f" 1{NBSP}min 10{NBSP}s") and lines[2].endswith("–")
    assert " yes " in lines[2] and "mel MSE against epochs-5" in lines[0]
    assert f"-60{NBSP}% (-60 to -60)" in lines[2]
    markdown = table.format_text(rows, is_markdown=True).splitlines()
    assert markdown[1].startswith("| --- | --- | ---: |")
    assert len({line.count("|") for line in markdown}) == 1


def test_the_command_table_prints_rows_and_missing_experiments_and_writes_files(project):
    result = CliRunner().invoke(app, ["study", "table", "scan"])
    assert result.exit_code == 0 and "epochs-10" in result.stdout
    assert result.stderr == "without a result: epochs-20; `melisma study run scan` runs them\n"
    files = {path.name for path in (project.path / "data" / "studies" / "scan").iterdir()}
    assert files == {"table.csv", "table.md", "figure.png"} and not project.git("status", "--porcelain", "data")
    CliRunner().invoke(app, ["study", "table", "scan", "--csv", "numbers.csv"])
    records = pd.read_csv("numbers.csv")
    assert records["mse"][0] == pytest.approx(0.025) and records["collapsed"][1] == "1 of 64 units"
    assert records["latent_dims"][0] == 64  # all numbers of metrics.json
    printed = json.loads(CliRunner().invoke(app, ["study", "table", "scan", "--json"]).stdout)
    assert [row["variant"] for row in printed] == ["mel_conv", "mel_conv", "mean"]


def test_results_of_older_code_are_named_and_make_rows_of_their_own(project, monkeypatch):
    experiments = load_experiments("scan")
    [_, second] = runner.find_results(experiments, commit.snapshot()).values()
    monkeypatch.setattr("pipeline.studies.commit.has_code", lambda revision, _: revision != second)
    monkeypatch.setattr(results, "has_code", commit.has_code)
    result = CliRunner().invoke(app, ["study", "table", "scan", "--json"])
    assert result.stderr == "with older code: epochs-10\n"
    names = [(row["experiment"], row["variant"]) for row in json.loads(result.stdout)]
    assert names == [(name, variant) for name in ("epochs-5", "epochs-10") for variant in ("mean", "mel_conv")]


def test_a_run_has_the_tag_of_the_experiments_while_they_have_its_result(rows, monkeypatch):
    def tags(tagged):
        results.tag_runs("scan", tagged)
        return [folder_for(fingerprint).meta["tags"].get("study.scan") for fingerprint in ("a0", "a1", "b0")]

    folder_for("a0").update(tags={"study.other": "x"})
    assert tags(rows) == ["epochs-5", "epochs-5", "epochs-10"]
    shared = replace(rows[1], experiments=["epochs-10", "epochs-20"])
    assert tags([shared]) == [None, None, "epochs-10,epochs-20"]
    assert folder_for("a0").meta["tags"]["study.other"] == "x"
    assert not folder_for("m0").path.exists()  # it has no run on this machine
    started = []
    monkeypatch.setattr(publisher, "start", lambda: started.append(True))
    monkeypatch.setattr(results, "read_section", lambda *_: SimpleNamespace(enabled=True))
    assert tags([]) == [None, None, None] and started == [True]


def test_a_number_with_three_values_makes_curves_and_other_settings_dots(rows, tmp_path):
    def size(drawn):
        figure.draw(drawn, tmp_path / "figure.png")
        return Image.open(tmp_path / "figure.png").size

    first = rows[0]
    scan = [replace(first, experiments=[f"e{n}"], settings={"epochs": n}) for n in (1, 2, 4)]
    dots = [replace(first, experiments=[name], settings={"weighting": name}) for name in ("none", "musical", "a")]
    repeated = [*scan, replace(scan[0], experiments=["e1, other"])]
    assert [figure._curve_key(drawn) for drawn in (scan, dots, scan[:2], repeated)] == ["epochs", None, None, None]
    assert size(scan)[1] > size(dots)[1]
    assert size(dots * 5)[1] > 2 * size(dots)[1]  # a line for each
    figure.draw([rows[2]], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()  # no variant is trained


def test_rates_are_curves_of_families_beside_the_bound_of_pca(rows, tmp_path):
    rates, errors = rows[0].bound
    assert rates.tolist() == [0] and errors.tolist() == [0.03]  # one component, which costs nothing at its own level
    assert rows[1].bound is None
    family = [
        replace(
            rows[0], settings={"beta": beta}, metrics=rows[0].metrics | {"kbps": 0.1 / beta, "mse_draw": beta / 100}
        )
        for beta in (0.1, 1.0, 10.0)
    ]
    figure.draw_rates(family, tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
    [ax] = figure.rates_figure([*family, *(replace(row, variant="other") for row in family)]).axes
    assert {str(line.get_label()) for line in ax.lines} == {"mel_conv", "other", "least rate of a Gaussian source"}
    assert ax.lines[0].get_xdata() == pytest.approx([0.01, 0.1, 1.0])
    arms = [replace(row, settings={"prior": name}) for row, name in zip(family, "abc", strict=True)]
    for without in (family[:2], arms, rows):  # two rates, no number that changes, no rate
        figure.draw_rates(without, tmp_path / "none.png")
        assert not (tmp_path / "none.png").exists()


def test_the_legend_names_variants_that_begin_with_an_underscore(rows):
    drawn = [replace(rows[0], variant=name, settings={}) for name in ("_a", "_b")]
    [legend] = figure.draw_figure(drawn).legends
    assert [text.get_text() for text in legend.get_texts()] == ["_a", "_b"]


def test_a_lower_bound_of_zero_is_drawn(rows):
    metrics = rows[0].metrics | {"probe_accuracy": 0.05, "probe_accuracy_low": 0.0, "probe_accuracy_high": 0.1}
    scan = [replace(rows[0], settings={"epochs": n}, metrics=metrics) for n in (1, 2, 4)]
    axes = {ax.get_title(): ax for ax in figure.draw_figure(scan).axes}
    [band] = axes["Label accuracy"].collections
    assert band.get_paths()[0].get_extents().extents[[1, 3]] == pytest.approx([0.0, 0.1])


def test_no_file_is_written_without_a_result(project):
    project.write("other", grid={"train.clip_norm": [2.0]})
    result = CliRunner().invoke(app, ["study", "table", "other"])
    assert (result.exit_code, result.stdout) == (0, "") and "without a result: clip_norm-2.0" in result.stderr
    assert not (project.path / "data" / "studies" / "other").exists()


def test_the_command_show_lists_experiments_with_status_and_settings(project):
    lines = CliRunner().invoke(app, ["study", "show", "scan"]).stdout.splitlines()
    assert lines[0] == "variants: mean, mel_conv"
    assert lines[3].split() == ["epochs-20", "not", "run", "models.mel_conv.train.epochs:", "20"]
    listed = json.loads(CliRunner().invoke(app, ["study", "show", "scan", "--json"]).stdout)
    assert [one["settings"] for one in listed] == [{"models.mel_conv.train.epochs": number} for number in EPOCHS]
