"""`melisma runs`, in a real MLflow store."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow.entities import LoggedModelOutput
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.runs import EXAMPLE
from pipeline.tracking import publish, search, store
from pipeline.tracking.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
RUNS = [  # name, status, metrics, params, tags; oldest first
    ("mel_conv-seed0", "FINISHED", {"test/mse": 0.013, "test/mse_low": 0.012, "test/mse_high": 0.014}, "64", {}),
    ("mel_conv-seed0-big", "FINISHED", {"test/mse": 0.011}, "128", {"dvc.exp_name": "big", "study.sizes": "large"}),
    ("mel_fc-seed1", "FAILED", {}, "64", {"error": "the loss of epoch 3 is not finite"}),
]


def melisma(*arguments):
    return CliRunner().invoke(app, arguments)


@pytest.fixture(scope="module")
def project(tmp_path_factory, empty_store):
    """A project with three runs, in a folder whose name needs quoting in an address."""
    folder = tmp_path_factory.mktemp("project") / "my prüf #1 50%20?"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        client = store.client()
        number = store.ensure_experiment(client, "melisma")
        for hour, (name, status, metrics, latent, tags) in enumerate(RUNS):
            variant, _, seed = name.removesuffix("-big").partition("-seed")
            tags = {"variant": variant, "seed": seed, **tags}
            run = client.create_run(number, start_time=(1_790_000_000 + 3600 * hour) * 1000, tags=tags, run_name=name)
            for key, value in metrics.items():
                client.log_metric(run.info.run_id, key, value)
            for epoch in (1, 2):
                client.log_metric(run.info.run_id, "epoch/seconds", 40.0, step=epoch)
            client.log_param(run.info.run_id, "bottleneck.latent", latent)
            if status == "FINISHED":
                model = client.create_logged_model(number, name=name, source_run_id=run.info.run_id)
                client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
            client.set_terminated(run.info.run_id, status)
        yield folder


def experiments():
    return search.experiment_ids(store.client())


def names(*arguments):
    result = melisma("runs", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return [run["name"] for run in json.loads(result.stdout)]


def test_runs_are_listed_newest_first_with_the_main_metrics(project):
    header, *lines = melisma("runs").stdout.splitlines()
    assert header.split() == ["run", "id", "status", "experiment", "started", "trained", "mse", "note"]
    assert [line.split()[0] for line in lines] == [name for name, *_ in reversed(RUNS)]
    assert "failed" in lines[0] and lines[0].endswith("1 min 20 s         the loss of epoch 3 is not finite")
    assert lines[1].split()[3:4] == ["big"] and lines[1].endswith("0.011")
    assert "latent" in melisma("runs", "--columns", "params.bottleneck.latent").stdout
    spaced = melisma("runs", "--columns", "status, test/mse, started")  # two of them are always shown
    assert spaced.stderr == "" and spaced.stdout.splitlines()[0].split() == header.split()


def test_an_unknown_key_gets_a_suggestion(project):
    for arguments in (("--columns", "params.bottleneck.latnt"), ("--sort", "-bottleneck.latnt")):
        result = melisma("runs", *arguments)
        assert result.exit_code == 0 and "did you mean 'bottleneck.latent'?" in result.stderr
    assert "none of these" not in melisma("runs").stderr + melisma("runs", "--sort", "status").stderr


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (["--variant", "mel_conv"], [1, 0]),
        (["--exp", "big"], [1]),
        (["--study", "sizes"], [1]),
        (["--status", "failed"], [2]),
        (["--where", "test/mse < 0.012"], [1]),
        (["--where", "params.bottleneck.latent = '64' and metrics.test/mse > 0"], [0]),
        (["--variant", "mel_conv", "--where", "test/mse >= 0.012"], [0]),
        (["--sort", "test/mse", "--variant", "mel_conv"], [1, 0]),
        (["--sort", "-test/mse", "--variant", "mel_conv"], [0, 1]),
        (["--sort", "name", "--limit", "2"], [0, 1]),
        (["--exp", "a-b_c.d"], []),
        (["--study", "a-b_c"], []),
        (["--where", EXAMPLE], [1, 0]),
    ],
)
def test_filters(project, arguments, numbers):
    assert names(*arguments) == [RUNS[number][0] for number in numbers]


def test_a_message_if_there_are_more_runs_or_none(project):
    assert "more than 1" in melisma("runs", "--limit", "1").stderr
    assert melisma("runs", "--exp", "small").stderr == "no runs like this\n"


def test_a_run_is_found_by_its_name_or_id(project):
    (best,) = search.find_runs(search.build_filter(experiment="big"))
    assert names("--exp", "big") == [json.loads(melisma("runs", best.id[:10], "--json").stdout)["name"]]
    text = melisma("runs", "mel_conv-seed0").stdout
    assert "mel_conv-seed0: finished" in text and "bottleneck.latent  64" in text
    (model,) = store.client().search_logged_models(experiments(), "name = 'mel_conv-seed0'")
    assert f"  model      models:/{model.model_id}\n" in text
    assert "test/mse       0.013  [0.012, 0.014]" in text and "test/mse_low" not in text
    failed = melisma("runs", "mel_fc-seed1").stdout
    assert "  model      none\n" in failed
    assert "error      the loss of epoch 3 is not finite" in failed
    assert f"{project}/mlartifacts/melisma/" in failed


def test_wrong_names_and_filters_give_one_line(project):
    for arguments, message in [
        (["nobody"], "no run has the id or name 'nobody'"),
        (["--where", "test/mse <"], "MLflow does"),
        (["--exp", "a'b"], "MLflow does not understand this"),
        (["--sort", "a`b"], "MLflow does not understand this"),
    ]:
        result = melisma("runs", *arguments)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1 and message in result.stderr
    result = melisma("runs", "")  # what all ids begin with
    assert result.exit_code == 2 and "3 runs have an id" in result.stderr


def test_pending_runs_are_counted_and_sent(project, monkeypatch):
    monkeypatch.setattr(publish, "count_pending", lambda: (2, ["1 run pending for MLflow at http://there:5000"]))
    monkeypatch.setattr(publish, "send_pending", lambda: (2, []))
    result = melisma("runs")
    assert result.stderr == "runs that are not completely in MLflow: 2 (`melisma runs --send`)\n"
    result = melisma("runs", "--send")
    assert (result.stdout, result.stderr) == ("runs sent: 2\n", "1 run pending for MLflow at http://there:5000\n")
    monkeypatch.setattr(publish, "send_pending", lambda: (2, ["this failed; mend it"]))
    result = melisma("runs", "--send")
    assert (
        result.exit_code == 1 and result.stdout == "runs sent: 2\n" and "error: this failed; mend it" in result.stderr
    )


def test_a_search_creates_no_database(project, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert melisma("runs").stderr == "no runs yet\n"
    RunFolder(tmp_path / ".melisma" / "runs" / "abc").path.mkdir(parents=True)
    RunFolder(tmp_path / ".melisma" / "runs" / "abc").update(store="mlflow.db")
    assert "MLflow has no runs, but .melisma/runs has 1: `melisma runs --send`" in melisma("runs").stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_the_address_of_a_database_may_have_options(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{store.tracking_uri()}?timeout=30")
    assert len(names()) == len(RUNS)


def test_a_failing_store_gives_one_line_without_its_password(project, monkeypatch):
    def refuse():
        raise ConnectionError("https://me:secret@example.org\ndoes not answer")

    monkeypatch.setattr(store, "client", refuse)
    result = melisma("runs")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "https://example.org does not answer" in result.stderr and "secret" not in result.stderr
