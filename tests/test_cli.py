"""The commands `params`, `doctor` and `ui`: what they print, how they fail, and that no process stays behind."""

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
from pipeline.tracking import search, store

ROOT = Path(__file__).resolve().parent.parent
MELISMA = [sys.executable, "-c", "from pipeline.cli import app; app()"]
COMMANDS = ["params", "doctor", "runs", "gc", "study", "board", "export-test", "ui"]
COMMANDS += ["reconstruct", "encode", "interpolate", "perturb", "sample", "transfer"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The current folder, with a copy of the project's params."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "MELISMA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def melisma(*arguments):
    return CliRunner().invoke(app, arguments)


def explain(key):
    return melisma("params", "--explain", key)


def explain_json(key):
    return json.loads(melisma("params", "--explain", key, "--json").stdout)


def edit(project, old, new):
    file = project / "params.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_help_imports_nothing_slow():
    code = (
        "import sys; from typer.testing import CliRunner; from pipeline.cli import app\n"
        "result = CliRunner().invoke(app, ['--help']); print(result.output)\n"
        "print([m for m in ('torch', 'mlflow', 'pandas', 'numpy', 'dvc', 'pydantic', 'rich') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(f"\n  {command} " in result.stdout for command in COMMANDS)
    assert "..." not in result.stdout.partition("Commands:")[2]  # no summary is cut off
    assert result.stdout.splitlines()[-1] == "[]"


def test_params_prints_a_complete_file_of_the_same_meaning(project):
    before = schema.load()
    edit(project, "  weight_decay: 0.01 # 0: none\n", "")
    printed = melisma("params").stdout
    assert yaml.safe_load(printed)["train"]["weight_decay"] == 0.01  # the default
    assert "&" not in printed and "*" not in printed  # an anchor would break `dvc exp run -S`
    assert schema.load(yaml.safe_load(printed)) == before
    assert json.loads(melisma("params", "--json").stdout) == yaml.safe_load(printed)


def test_explain_a_key(project):
    edit(project, "dpi: 110", "dpi: 90")
    lines = explain("figures.dpi").stdout.splitlines()
    assert lines[0] == "figures.dpi" and lines[1].strip().startswith("dots per inch")
    assert [line.split(maxsplit=1) for line in lines[2:4]] == [
        ["takes", "whole number, at least 50 and at most 400"],
        ["default", "110"],
    ]
    rows = [row.strip() for row in (project / "params.yaml").read_text().splitlines()]
    number = 1 + rows.index("dpi: 90 # dots per inch, 50 to 400; animations have at most 80")
    assert lines[4].split(maxsplit=1) == ["here", f"90 (params.yaml, line {number})"]
    assert "  dpi  90  dots per inch" in explain("figures").stdout


def test_explain_a_key_of_all_variants(project):
    entries = explain_json("bottleneck.latent")
    assert sorted(list(entry["given"].values()) for entry in entries) == [["gaussian"], ["linear"]]
    values = {value["key"].split(".")[1]: value["value"] for entry in entries for value in entry["values"]}
    raw = yaml.safe_load((project / "params.yaml").read_text())["models"]
    assert values == {
        name: block["bottleneck"]["latent"] for name, block in raw.items() if "latent" in block["bottleneck"]
    }
    (entry,) = explain_json("models.mel_conv.bottleneck.latent")
    assert entry["given"] == {"models.*.bottleneck.type": "gaussian"}


def test_explain_training_settings_of_a_variant(project):
    def value(key):
        (entry,) = explain_json(key)
        return [(value["key"], value["value"]) for value in entry["values"]]

    raw = yaml.safe_load((project / "params.yaml").read_text())
    own = raw["models"]["mel_fc"]["train"]["epochs"]
    assert value("models.mel_fc.train.epochs") == [("models.mel_fc.train.epochs", own)]
    assert value("models.mel_conv.train.epochs") == [("train.epochs", raw["train"]["epochs"])]
    assert value("models.pca.train.epochs") == []  # a baseline is not trained
    assert "not in use" in explain("models.mel_conv.bottleneck.codes").stdout


def test_explain_lists_the_variants_that_override_a_key(project):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["models"]["wave_transformer"]["train"] = {"plateau": {"factor": 0.1}}
    raw["models"]["mel_elbo"]["train"] = {"learning_rate": 0.004}
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    text = explain("train.plateau.factor").stdout
    assert text.count("train.plateau.factor: 0.5") == 1 and "models.wave_transformer.train.plateau.factor: 0.1" in text
    _, entry = explain_json("plateau.factor")  # the first is that of vocoders
    assert [value["value"] for value in entry["values"]] == [0.5, 0.1]
    text = explain("train.learning_rate").stdout
    assert "train.learning_rate: 0.002" in text and "models.mel_elbo.train.learning_rate: 0.004" in text
    assert "mel_conv" not in text


def test_explain_a_section_that_is_null(project):
    text = explain("evaluate.embedding").stdout
    assert "null" in text and "\n  sample_rate " in text and "\n  path " in text
    assert "\n  embedding  " in explain("evaluate").stdout


def test_explain_an_unknown_key(project):
    result = explain("trian.epochs")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: params.yaml has no key 'trian.epochs'; did you mean 'train.epochs'?\n"
    assert "its sections are: seeds, source," in explain("xyzzy").stderr
    assert melisma("params", "--explain", "train", "--study", "full").exit_code == 2


def test_explain_works_with_an_invalid_file(project):
    edit(project, "schedule: cosine", "schedule: cosin")
    text = explain("train.schedule").stdout
    assert "constant | cosine | plateau" in text and "no values: params.yaml: train.schedule" in text
    for models in (3, ["a"], {1: {}}, {"a": 3}):
        (project / "params.yaml").write_text(yaml.safe_dump({"models": models}))
        result = explain("models")
        assert result.exit_code == 0 and "no values: params.yaml: " in result.stdout


def test_a_closed_pipe_is_no_error(project):
    with subprocess.Popen([*MELISMA, "params"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        command.stdout.close()
        assert command.stderr.read() == ""


def test_a_letter_that_the_terminal_lacks_is_printed_as_its_number(project):
    edit(project, "experiment: melisma", "experiment: 音")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    result = subprocess.run([*MELISMA, "params"], env=environment, capture_output=True, check=True)
    assert rb"experiment: \u97f3" in result.stdout


def test_params_works_in_a_subfolder_but_not_elsewhere(project, monkeypatch, tmp_path_factory):
    (project / "data").mkdir()
    monkeypatch.chdir(project / "data")
    result = melisma("params", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    result = melisma("params")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and "project's folder" in result.stderr


def test_a_wrong_key_is_one_line(project):
    edit(project, "beta: 1.0", "bata: 1.0")
    result = melisma("params")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "models.mel_conv.loss.kl" in result.stderr and "'beta'" in result.stderr


def test_debug_adds_the_traceback(project, monkeypatch):
    monkeypatch.setenv("MELISMA_DEBUG", "")  # so that the test restores what --debug sets
    edit(project, "batch_size: 8", "batch_size: many")
    assert "Traceback" not in melisma("params").stderr
    result = melisma("--debug", "params")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-1].startswith("error: ")


def test_ctrl_c_is_130(project, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "load", interrupt)
    assert melisma("params").exit_code == 130


def test_doctor_checks_this_machine(project, empty_store):
    shutil.copy(empty_store, project)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=project, check=True)
    result = melisma("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["ok"] and result.exit_code == 0, report
    assert [check["name"] for check in report["checks"]] == ["python", "torch", "device", "dvc", "mlflow", "disk"]
    assert all(check["ok"] and check["detail"] and check["fix"] is None for check in report["checks"])
    assert store.client().get_experiment_by_name("melisma")  # the check creates it


def test_doctor_fails_if_a_check_fails(project, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", {"python": (doctor.python, ""), "disk": (doctor.disk, "")})
    assert melisma("doctor").exit_code == 0
    monkeypatch.setattr(doctor, "MIN_FREE_GIB", 1e9)
    result = melisma("doctor")
    assert result.exit_code == 1
    ok, failed, fix = result.stdout.splitlines()
    assert ok.startswith("ok      python") and failed.startswith("FAILED  disk") and "-> free some space" in fix


def test_doctor_reports_a_library_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)  # importing it raises
    checks = {check.name: check for check in doctor.run_checks() if check.name in ("torch", "disk")}
    assert not checks["torch"].ok and "torchaudio" in checks["torch"].detail and "make setup" in checks["torch"].fix
    assert checks["disk"].ok


def test_doctor_reports_a_missing_device(project, monkeypatch):
    edit(project, "device: auto", "device: cuda:99")
    with pytest.raises(doctor.CheckError, match="torch finds no cuda:99"):
        doctor.device()


def test_doctor_hides_the_password_of_a_store(project, monkeypatch):
    def fail():
        raise ConnectionError("no answer from https://me:secret@example.org\nsecond line")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org/mlflow")
    monkeypatch.setattr(store, "check", fail)
    with pytest.raises(doctor.CheckError) as caught:
        doctor.mlflow_store()
    reason = "no answer from https://example.org second line"
    assert str(caught.value) == f"MLflow at https://example.org/mlflow failed ({reason})"
    assert "MLFLOW_TRACKING_URI" in caught.value.fix


def test_doctor_and_ui_say_that_the_experiment_was_deleted(project, empty_store):
    shutil.copy(empty_store, project)
    number = store.ensure_experiment(store.client(), "melisma")
    store.client().delete_experiment(number)
    with pytest.raises(doctor.CheckError, match="the experiment 'melisma' was deleted") as caught:
        doctor.mlflow_store()
    assert f"mlflow experiments restore --experiment-id {number}`" in caught.value.fix
    for command in ("ui", "runs"):
        result = melisma(command)
        assert result.exit_code == 1 and caught.value.fix in result.stderr and result.stderr.count("\n") == 1


def test_ui_with_a_port_that_is_taken(project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = melisma("ui", "--port", str(port))
    assert result.exit_code == 1
    assert f"port {port}" in result.stderr and "--port" in result.stderr


def test_ui_prints_the_address_of_a_running_server(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@example.org:5000/")
    monkeypatch.setattr(store, "client", lambda: None)
    monkeypatch.setattr(store, "runs_page", lambda client: "/#/experiments/1")
    assert "http://example.org:5000/#/experiments/1" in melisma("ui").stdout


def test_ui_with_a_server_that_is_down(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = melisma("ui")
    assert result.exit_code == 1 and "Connection refused" in result.stderr and not result.stdout


def test_ui_reports_why_the_server_did_not_start(project, monkeypatch):
    monkeypatch.setattr(search, "connected", contextlib.nullcontext)
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
            ui.send_signal(signal.SIGHUP)  # the terminal closes
            with pytest.raises(subprocess.TimeoutExpired):
                ui.wait(timeout=2)
            ui.send_signal(signal.SIGINT)
            assert ui.wait(timeout=30) == 0
            assert not psutil.wait_procs(children, timeout=30)[1]
        finally:
            for process in (ui, *children):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
