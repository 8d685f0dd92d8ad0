"""The `melisma` command: what it prints, how it fails, and that it leaves nothing running."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app, doctor
from pipeline.schema import schema
from pipeline.tracking import store

ROOT = Path(__file__).resolve().parent.parent
MELISMA = [sys.executable, "-c", "from pipeline.cli import app; app()"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project's params, which is the current folder, and a store of its own."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "MELISMA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def melisma(*arguments):
    return CliRunner().invoke(app, arguments)


def edit(project, text, by):
    file = project / "params.yaml"
    assert text in file.read_text()
    file.write_text(file.read_text().replace(text, by, 1))


def test_help_imports_nothing_slow():
    code = (
        "import sys; from typer.testing import CliRunner; from pipeline.cli import app\n"
        "result = CliRunner().invoke(app, ['--help']); print(result.output)\n"
        "print([m for m in ('torch', 'mlflow', 'pandas', 'numpy', 'dvc', 'pydantic', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    commands = (
        "params",
        "doctor",
        "runs",
        "gc",
        "study",
        "ui",
        "reconstruct",
        "encode",
        "interpolate",
        "perturb",
        "sample",
        "transfer",
    )
    assert all(f"\n  {command} " in done.stdout for command in commands)
    assert done.stdout.splitlines()[-1] == "[]"


def test_params_prints_a_complete_file_that_means_the_same(project):
    before = schema.load()
    edit(project, "  weight_decay: 0.01 # 0: none\n", "")
    printed = melisma("params").stdout
    assert yaml.safe_load(printed)["train"]["weight_decay"] == 0.01  # the default is filled in
    assert "&" not in printed and "*" not in printed  # an anchor would break `dvc exp run -S`
    assert schema.load(yaml.safe_load(printed)) == before
    assert json.loads(melisma("params", "--json").stdout) == yaml.safe_load(printed)


def test_explain_says_what_a_key_means_and_is(project):
    edit(project, "dpi: 110", "dpi: 90")
    text = melisma("params", "--explain", "figures.dpi").stdout.splitlines()
    assert text[0] == "figures.dpi" and text[1].strip().startswith("dots per inch")
    assert [line.split(maxsplit=1) for line in text[2:4]] == [
        ["takes", "whole number, at least 50 and at most 400"],
        ["default", "110"],
    ]
    line = 1 + [row.strip() for row in (project / "params.yaml").read_text().splitlines()].index(
        "dpi: 90 # dots per inch, 50 to 400; animations have at most 80"
    )
    assert text[4].split(maxsplit=1) == ["here", f"90 (params.yaml, line {line})"]
    assert "  dpi  90  dots per inch" in melisma("params", "--explain", "figures").stdout


def test_explain_takes_a_key_without_its_variant(project):
    found = json.loads(melisma("params", "--explain", "bottleneck.latent", "--json").stdout)
    assert sorted(list(entry["given"].values()) for entry in found) == [["gaussian"], ["linear"]]
    values = {value["key"].split(".")[1]: value["value"] for entry in found for value in entry["values"]}
    raw = yaml.safe_load((project / "params.yaml").read_text())["models"]
    assert values == {
        name: block["bottleneck"]["latent"] for name, block in raw.items() if "latent" in block["bottleneck"]
    }
    one = json.loads(melisma("params", "--explain", "models.mel_conv.bottleneck.latent", "--json").stdout)
    assert [entry["given"] for entry in one] == [{"models.*.bottleneck.type": "gaussian"}]


def test_explain_knows_what_a_variant_inherits(project):
    def value(key):
        (entry,) = json.loads(melisma("params", "--explain", key, "--json").stdout)
        return [(found["key"], found["value"]) for found in entry["values"]]

    assert value("models.mel_elbo.train.epochs") == [("models.mel_elbo.train.epochs", 30)]
    assert value("models.mel_conv.train.epochs") == [("train.epochs", 20)]
    assert value("models.pca.train.epochs") == []  # a baseline is not trained
    assert "not in use" in melisma("params", "--explain", "models.mel_conv.bottleneck.codes").stdout


def test_explain_says_each_value_once_and_which_variants_override_it(project):
    edit(project, "train: {epochs: 12}", "train: {epochs: 12, plateau: {factor: 0.1}}")
    text = melisma("params", "--explain", "train.plateau.factor").stdout
    assert text.count("train.plateau.factor: 0.5") == 1 and "models.wave_transformer.train.plateau.factor: 0.1" in text
    (found,) = json.loads(melisma("params", "--explain", "plateau.factor", "--json").stdout)
    assert [value["value"] for value in found["values"]] == [0.5, 0.1]
    rates = melisma("params", "--explain", "train.learning_rate").stdout
    assert "train.learning_rate: 0.002" in rates and "models.mel_elbo.train.learning_rate: 0.004" in rates
    assert "mel_conv" not in rates


def test_explain_shows_the_keys_of_a_section_that_is_null(project):
    text = melisma("params", "--explain", "evaluate.embedding").stdout
    assert "null" in text and "\n  sample_rate " in text and "\n  path " in text
    assert "\n  embedding  " in melisma("params", "--explain", "evaluate").stdout


def test_explain_names_the_nearest_key(project):
    result = melisma("params", "--explain", "trian.epochs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: params.yaml has no key 'trian.epochs'; did you mean 'train.epochs'?\n"
    assert "its sections are: seeds, source," in melisma("params", "--explain", "xyzzy").stderr
    assert melisma("params", "--explain", "train", "--study", "full").exit_code == 2


def test_explain_helps_where_the_file_does_not_hold(project):
    edit(project, "schedule: cosine", "schedule: cosin")
    text = melisma("params", "--explain", "train.schedule").stdout
    assert "constant | cosine | plateau" in text and "no values: params.yaml: train.schedule" in text


@pytest.mark.parametrize("models", [3, ["a"], {1: {}}, {"a": 3}])
def test_explain_helps_where_the_variants_do_not_hold(project, models):
    (project / "params.yaml").write_text(yaml.safe_dump({"models": models}))
    result = melisma("params", "--explain", "models")
    assert result.exit_code == 0 and "no values: params.yaml: " in result.stdout


def test_a_reader_that_has_seen_enough_gets_no_error(project):
    with subprocess.Popen([*MELISMA, "params"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        command.stdout.close()
        assert command.stderr.read() == ""


def test_a_terminal_that_lacks_a_letter_gets_its_number(project):
    edit(project, "experiment: melisma", "experiment: 音")
    done = subprocess.run(
        [*MELISMA, "params"], env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True
    )
    assert rb"experiment: \u97f3" in done.stdout


def test_params_works_from_a_subfolder_and_says_where_it_cannot(project, monkeypatch, tmp_path_factory):
    (project / "data").mkdir()
    monkeypatch.chdir(project / "data")
    result = melisma("params", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = melisma("params")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and "project's folder" in result.stderr


def test_a_wrong_param_is_named_in_one_line(project):
    edit(project, "beta: 1.0", "bata: 1.0")
    result = melisma("params")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "models.mel_conv.loss.kl" in result.stderr and "'beta'" in result.stderr


def test_debug_adds_the_traceback(project, monkeypatch):
    monkeypatch.setenv("MELISMA_DEBUG", "")  # so that what --debug sets is undone after the test
    edit(project, "epochs: 30", "epochs: many")
    assert "Traceback" not in melisma("params").stderr
    result = melisma("--debug", "params")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-1].startswith("error: ")


def test_ctrl_c_is_130(project, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "load", interrupted)
    assert melisma("params").exit_code == 130


def test_doctor_finds_this_machine_in_order(project, empty_store):
    shutil.copy(empty_store, project)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=project, check=True)
    result = melisma("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["ok"] and result.exit_code == 0, report
    assert [check["name"] for check in report["checks"]] == ["python", "torch", "device", "dvc", "mlflow", "disk"]
    assert all(check["ok"] and check["detail"] and check["fix"] is None for check in report["checks"])
    assert store.client().get_experiment_by_name("melisma")  # the store was tried, not guessed


def test_doctor_fails_when_one_check_does(project, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"python": doctor.python, "disk": doctor.disk})
    assert melisma("doctor").exit_code == 0
    monkeypatch.setattr(doctor, "MIN_FREE_GIB", 1e9)
    result = melisma("doctor")
    assert result.exit_code == 1
    ok, failed, fix = result.stdout.splitlines()
    assert ok.startswith("ok      python") and failed.startswith("FAILED  disk") and "-> free some space" in fix


def test_doctor_reports_a_library_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # importing it raises
    found = {check.name: check for check in doctor.run_checks() if check.name in ("torch", "disk")}
    assert not found["torch"].ok and "torchaudio" in found["torch"].detail and "make setup" in found["torch"].fix
    assert found["disk"].ok


def test_doctor_refuses_a_device_that_is_not_there(project, monkeypatch):
    edit(project, "device: auto", "device: cuda:99")
    with pytest.raises(doctor.CheckError, match="asks for cuda:99"):
        doctor.device()


def test_doctor_hides_the_password_of_a_store(project, monkeypatch):
    def unreachable():
        raise ConnectionError("no answer from https://me:secret@example.org\nsecond line")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org/mlflow")
    monkeypatch.setattr(store, "prepare", unreachable)
    with pytest.raises(doctor.CheckError) as caught:
        doctor.mlflow_store()
    assert str(caught.value) == "https://example.org/mlflow: no answer from https://example.org second line"
    assert "MLFLOW_TRACKING_URI" in caught.value.fix


def test_ui_names_the_port_that_is_taken(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = melisma("ui", "--port", str(port))
    assert result.exit_code == 1
    assert f"port {port}" in result.stderr and "--port" in result.stderr


def test_ui_points_to_a_server_that_is_already_there(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@example.org:5000/")
    monkeypatch.setattr(store, "client", lambda: None)
    monkeypatch.setattr(store, "runs_page", lambda client: "/#/experiments/1")
    assert "http://example.org:5000/#/experiments/1" in melisma("ui").stdout


def test_ui_does_not_point_to_a_server_that_is_down(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = melisma("ui")
    assert result.exit_code == 1 and "Connection refused" in result.stderr and not result.stdout


def test_ui_says_why_the_server_did_not_start(project, monkeypatch):
    monkeypatch.setattr(store, "prepare", lambda: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://somewhere")
    result = melisma("ui")
    assert result.exit_code == 1
    assert "did not start" in result.stderr and (project / ".melisma" / "ui.log").read_text()


@pytest.mark.e2e
def test_ui_serves_under_nohup_until_ctrl_c_and_leaves_no_process(project):
    children = []
    with subprocess.Popen(["nohup", *MELISMA, "ui"], stdout=subprocess.PIPE, text=True) as ui:
        try:
            address = next(word for line in ui.stdout for word in line.split() if word.startswith("http://"))
            children = psutil.Process(ui.pid).children(recursive=True)
            assert children
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(address, timeout=20) as page:
                assert page.status == 200 and b"MLflow" in page.read()
            ui.send_signal(signal.SIGHUP)  # as of a terminal that is closed
            with pytest.raises(subprocess.TimeoutExpired):
                ui.wait(timeout=2)
            ui.send_signal(signal.SIGINT)
            assert ui.wait(timeout=30) == 0
            assert not psutil.wait_procs(children, timeout=30)[1]
        finally:
            for process in (ui, *children):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
