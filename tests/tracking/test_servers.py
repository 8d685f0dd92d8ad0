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
from pipeline.tracking import calls, outbox, run_tags, store
from pipeline.tracking.run import record
from tests.tracking.conftest import CONFIG, artifacts, copy_to_outbox, get, history

pytestmark = pytest.mark.e2e
IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "servers", "data": "def"}
PROCESSES, CALLS, STEPS = 6, 10, 100


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


def test_records_are_sent_when_a_server_is_up_again(address, request, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_series({1: {"a": 0.5}, 2: {"a": 0.25}})
        run.log_folder(tmp_path, "figures")
    copy_to_outbox(run)
    run._journal.discard()
    assert run.identity["run_id"] is None and capsys.readouterr().err.count("warning: MLflow") == 1
    request.getfixturevalue("server")
    with record(CONFIG, "evaluate", run.identity) as later:
        later.log_series({0: {"b": 1.0}})
    run_id = later.identity["run_id"]
    assert history(run_id, "a") == [(1, 0.5), (2, 0.25)] and history(run_id, "b") == [(0, 1.0)]
    assert get(run_id).info.artifact_uri.startswith("mlflow-artifacts:") and not outbox.pending_runs()
    assert artifacts(run_id, "figures") == ["figures/a.png"]
    assert Path(store.client().download_artifacts(run_id, "figures/a.png", str(tmp_path))).read_bytes() == b"png"


def record_steps(number, barrier, run_ids):
    """Open a run and log to it. The process is a fork, so MLflow is imported already."""
    barrier.wait()
    identity = IDENTITY | {"seed": number, "fingerprint": f"six-{number}", "run_id": None}
    run_id = calls.open_run("six", identity, "train", None, run_tags.tags(identity, "train"), int(time.time() * 1000))
    for call in range(CALLS):
        rows = {step: {"step/loss": float(step)} for step in range(call * STEPS, (call + 1) * STEPS)}
        calls.log_series(run_id, rows, int(time.time() * 1000), "step/loss")
    calls.end_run(run_id, "FINISHED", int(time.time() * 1000))
    run_ids.put(run_id)


def test_six_processes_may_open_a_new_store_and_write_at_once(new_store):
    from mlflow import MlflowClient  # noqa: F401  # for all forks

    fork = multiprocessing.get_context("fork")
    barrier, queue = fork.Barrier(PROCESSES), fork.SimpleQueue()
    processes = [fork.Process(target=record_steps, args=(number, barrier, queue)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    run_ids = {queue.get() for _ in processes}
    assert len(run_ids) == PROCESSES and [e.name for e in store.client().search_experiments()].count("six") == 1
    for run_id in run_ids:
        assert get(run_id).info.status == "FINISHED"
        assert sorted(step for step, _ in history(run_id, "step/loss")) == list(range(CALLS * STEPS))


def test_a_run_in_postgresql_has_its_artifacts_in_the_project(postgres, project, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres)
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_params({"a": 1})
        run.log_series({1: {"a": 0.5}})
        journal = (run._journal.folder / "about.json").read_text()
    with record(CONFIG, "figures", run.identity) as figures:
        figures.log_folder(tmp_path, "figures")
    assert figures.identity["run_id"] == run.identity["run_id"] and "s3cret" not in journal
    found = get(run.identity["run_id"])
    assert found.data.params == {"a": "1"} and history(found.info.run_id, "a") == [(1, 0.5)]
    assert found.info.artifact_uri.startswith((project / "mlartifacts").as_uri())
    assert artifacts(found.info.run_id, "figures") == ["figures/a.png"]
    assert "warning" not in capsys.readouterr().err
