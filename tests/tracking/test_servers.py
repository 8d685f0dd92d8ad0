"""The stores that users have: SQLite in the project, an MLflow server over HTTP, PostgreSQL."""

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.cli import ui
from pipeline.tracking import store
from pipeline.tracking.publish import Mirror
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import folder_for
from tests.tracking.conftest import CONFIG, IDENTITY, artifacts, epoch, get, history, result

pytestmark = pytest.mark.e2e
PROCESSES, EPOCHS = 6, 100


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def address():
    """The address of `server`, which may not run yet."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(address, tmp_path_factory):
    """An MLflow server that also stores artifacts, with its own SQLite database."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        ui.wait_for_server(process, int(address.rpartition(":")[2]), folder / "log")
        yield address
    finally:
        ui.stop_server(process)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server, run by another user, since it refuses to run as root."""
    initdb = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=Path(shutil.which("initdb") or "none"))
    if not initdb.is_file():
        pytest.skip("PostgreSQL is not installed: no initdb in /usr/lib/postgresql/*/bin or on PATH")
    pytest.importorskip("psycopg", reason="no psycopg: install the extra `postgres`")
    user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="melisma-postgres-") as folder:  # other users cannot read pytest's folders
        if user:
            shutil.chown(folder, user["user"])
        data, port = f"{folder}/data", free_port()
        create = [initdb, "-D", data, "-U", "bob", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]
        subprocess.run(create, **user, cwd=folder, check=True, capture_output=True)
        command = [initdb.with_name("postgres"), "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off"]
        process = subprocess.Popen(command, **user, cwd=folder, stderr=subprocess.DEVNULL)
        try:
            ready = [initdb.with_name("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            end = time.monotonic() + 60
            while subprocess.run(ready, check=False).returncode and process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            yield f"postgresql://bob:s3cret@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(2)  # a fast shutdown
            process.wait(timeout=30)


@pytest.fixture(params=["sqlite", "http", "postgresql"])
def new_store(request, monkeypatch, tmp_path_factory):
    """A store without an experiment "six", used from a new project."""
    if request.param == "http":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
    elif request.param == "postgresql":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("postgres"))
    else:
        monkeypatch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("new")))
    return request.param


def test_runs_are_sent_when_a_server_is_up_again(address, request, project, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "up"}) as run:
        run.log_epoch(epoch(1))
        run.log_files(tmp_path, "artifacts/figures")
    assert "Connection refused" in folder_for("up").sent["error"]
    request.getfixturevalue("server")
    with record(CONFIG, "evaluate", IDENTITY | {"fingerprint": "up"}, "e1") as run:
        run.log_evaluation(result())
    run = get("up")
    assert history(run, "train/loss") == [(1, 1.0)] and run.data.metrics["test/mse"] == 0.5
    assert run.info.artifact_uri.startswith("mlflow-artifacts:") and folder_for("up").is_complete
    assert artifacts(run, "figures") == ["figures/a.png"]
    assert Path(store.client().download_artifacts(run.info.run_id, "figures/a.png")).read_bytes() == b"png"


def record_epochs(number, barrier):
    """A first stage. The process is a fork, so MLflow is imported already."""
    barrier.wait()
    with record(
        CONFIG.model_copy(update={"experiment": "six"}), "train", IDENTITY | {"fingerprint": f"six-{number}"}
    ) as run:
        for i in range(1, EPOCHS + 1):
            run.log_epoch(epoch(i))
            if i % 10 == 0:
                Mirror(run.folder).publish()


def test_six_processes_may_open_a_new_store_and_write_at_once(project, new_store):
    from mlflow import MlflowClient  # noqa: F401  # for all forks

    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(PROCESSES)
    processes = [fork.Process(target=record_epochs, args=(number, barrier)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert [e.name for e in store.client().search_experiments()].count("six") == 1
    found = [get(f"six-{number}") for number in range(PROCESSES)]
    assert len({run.info.run_id for run in found}) == PROCESSES
    for run in found:
        assert run.info.status == "FINISHED"
        assert [step for step, _ in history(run, "train/loss")] == [*range(1, EPOCHS + 1)]


def test_a_run_in_postgresql_has_its_artifacts_in_the_project(postgres, project, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres)
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "postgres"}) as run:
        run.log_params({"a": 1})
        run.log_epoch(epoch(1))
        run.log_files(tmp_path, "artifacts/figures")
    folder = folder_for("postgres")
    assert folder.is_complete and "s3cret" not in (folder.path / "meta.json").read_text()
    run = get("postgres")
    assert run.data.params == {"a": "1"} and history(run, "train/loss") == [(1, 1.0)]
    assert run.info.artifact_uri.startswith((project / "mlartifacts").as_uri())
    assert artifacts(run, "figures") == ["figures/a.png"]
