"""No record is lost or doubled if a store fails or a process is killed."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from mlflow.exceptions import MlflowException
from urllib3.exceptions import ResponseError

from pipeline.core.workspace import write_json
from pipeline.tracking import outbox, sender, store
from pipeline.tracking.journal import Journal, error_reason
from pipeline.tracking.run import record
from tests.tracking.conftest import CONFIG, artifacts, copy_to_outbox, experiment_id, get, history

IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "outbox", "data": "def"}
ROOT = Path(__file__).parents[2]


def run_ids(fingerprint):
    runs = store.client().search_runs([experiment_id()], f"tags.fingerprint = '{fingerprint}'")
    return [run.info.run_id for run in runs]


@contextlib.contextmanager
def without_artifacts(project):
    """A store that takes metrics but no artifacts."""
    folder = project / "mlartifacts" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    backup = folder.rename(folder.with_name("backup"))
    folder.write_text("no folder")
    yield
    folder.unlink()
    backup.rename(folder)


@pytest.fixture
def image_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    return tmp_path


def test_a_stage_goes_on_without_its_store_and_a_later_one_sends_its_records(monkeypatch, capsys, image_folder):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    identity = IDENTITY | {"fingerprint": "down"}
    with record(CONFIG, "train", identity) as run:
        assert run.identity["run_id"] is None
        run.log_params({"b": 2})
        run.log_series({1: {"a": 0.5}, 2: {"a": 0.25}})
        run.log_folder(image_folder, "figures")
    (image_folder / "a.png").unlink()
    errors = capsys.readouterr().err
    assert errors.count("warning:") == 1 and "MLflow at http://127.0.0.1:9 failed" in errors
    assert str(run._journal.folder) in errors and "melisma runs --send" in errors
    written = b"".join(file.read_bytes() for file in run._journal.folder.rglob("*") if file.is_file())
    assert b"s3cret" not in written and "s3cret" not in errors
    folder = copy_to_outbox(run)
    run._journal.discard()
    assert outbox.pending_runs() == {folder: "http://127.0.0.1:9"}
    assert {"run": "mel_conv-seed3", "stage": "train"}.items() <= Journal(folder).info.items()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert outbox.send_pending() == 0  # it belongs to the other store
    write_json(folder / "about.json", Journal(folder).info | {"store": outbox.store_name()})
    with record(CONFIG, "evaluate", identity) as later:
        pass
    assert "sent the records of 1 earlier" in capsys.readouterr().out
    run_id = later.identity["run_id"]  # of stage train, whose records were sent first
    assert get(run_id).data.params == {"b": "2"} and history(run_id, "a") == [(1, 0.5), (2, 0.25)]
    assert artifacts(run_id, "figures") == ["figures/a.png"]
    assert run_ids("down") == [run_id] and not outbox.pending_runs() and not folder.parent.exists()


def test_environment_variables_of_the_user_win_over_the_defaults(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    sender._set_environment({store.TIMEOUT: "7"})
    assert (store.DEFAULTS | {store.TIMEOUT: "7"}).items() <= os.environ.items()
    for value, file_timeout in (("15", "120"), ("7", "7")):
        os.environ[store.TIMEOUT] = value
        with store.file_timeout():
            assert os.environ[store.TIMEOUT] == file_timeout
        assert os.environ[store.TIMEOUT] == value


def test_an_error_message_has_the_reason_of_the_server():
    error = MlflowException("API request to http://127.0.0.1/api/2.0/mlflow/experiments/search failed")
    error.__cause__ = ResponseError("too many 503 error responses")
    assert error_reason(error) == "too many 503 error responses"


def test_calls_that_failed_are_repeated_when_the_store_works_again(project, image_folder, capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_series({1: {"middle": 0.5}})
        run_id = run.identity["run_id"]
        with without_artifacts(project):
            run.log_folder(image_folder, "figures")
            run.log_series({2: {"middle": 0.25}})
            run._send(wait=True)
            assert history(run_id, "middle") == [(1, 0.5)]
    output = capsys.readouterr()
    assert output.err.count("warning: MLflow") == 1 and "works again" in output.out
    assert history(run_id, "middle") == [(1, 0.5), (2, 0.25)]
    assert get(run_id).info.status == "FINISHED" and not run._journal.folder.exists()


def test_calls_that_are_sent_again_change_nothing():
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "again"}) as run:
        run.log_series({1: {"a": 0.5}})
        run_id = run.identity["run_id"]
        run.log_series({7: {"b": 1.0}}, skip_if_logged="b")
        run._send(wait=True)
        folder = copy_to_outbox(run)
    started = get(run_id).info.start_time
    (folder / "sent.json").unlink()  # as if no answer ever came
    assert outbox.send_pending() == 1 and run_ids("again") == [run_id]
    assert history(run_id, "a") == [(1, 0.5)] and history(run_id, "b") == [(7, 1.0)]
    assert get(run_id).info.start_time == started


def test_a_resumed_training_logs_no_step_twice():
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", IDENTITY | {"fingerprint": "resumed"}) as run:
        run.log_series({1: {"a": 0.5, "b": 1.0}, 2: {"a": 0.25, "b": 1.0}}, skip_if_logged="a")
        raise KeyboardInterrupt
    run_id = run.identity["run_id"]
    journal = Journal.create(run._sender.folder / "later", {})  # in this process, which has no cached steps
    with record(CONFIG, "train", run.identity):
        journal.run_id = run_id
        journal.add("log_series", {2: {"a": 0.2, "b": 2.0}, 3: {"a": 0.1, "b": 2.0}}, int(time.time() * 1000), "a")
        journal.send()
    journal.discard()
    assert history(run_id, "a") == [(1, 0.5), (2, 0.25), (3, 0.1)]
    assert history(run_id, "b") == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_a_call_that_mlflow_refuses_is_skipped_with_a_warning(capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run.log_params({"a": 1})
        run.log_params({"a": 2})  # a param cannot change
        run.log_series({0: {"b": 1.0}})
    assert "refused log_params" in capsys.readouterr().err
    found = get(run.identity["run_id"])
    assert found.data.params == {"a": "1"} and found.data.metrics["b"] == 1.0 and found.info.status == "FINISHED"


def test_a_call_that_always_fails_does_not_block_others(capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run._call("no such function")
        run.log_series({0: {"a": 2.0}})
    assert capsys.readouterr().err.count("warning: MLflow") == 1
    assert get(run.identity["run_id"]).info.status == "FINISHED" and history(run.identity["run_id"], "a") == [(0, 2.0)]
    folder = copy_to_outbox(run)
    run._journal.discard()
    with record(CONFIG, "train", IDENTITY) as other:
        other.log_series({0: {"a": 1.0}})
    assert history(other.identity["run_id"], "a") == [(0, 1.0)]
    assert outbox.send_pending() == 0 and str(folder) in capsys.readouterr().err
    assert len((folder / "calls.jsonl").read_text().splitlines()) == 1  # only the failed call
    shutil.rmtree(folder.parent)


def test_a_journal_keeps_its_run_if_it_is_killed_while_it_rewrites_itself(project, image_folder, monkeypatch):
    with record(CONFIG, "train", IDENTITY | {"fingerprint": "kept"}) as run:
        assert run.identity["run_id"]
        run.log_folder(image_folder, "figures")
        run._send(wait=True)
        folder = copy_to_outbox(run)
    (folder / "sent.json").unlink()
    with without_artifacts(project), monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        replace = Path.replace

        def replace_and_die(self, target):
            replace(self, target)
            if target.name == "calls.jsonl":
                raise KeyboardInterrupt

        patch.setattr(Path, "replace", replace_and_die)
        Journal(folder).send(is_complete=True)
    assert Journal(folder).run_id == run.identity["run_id"]
    shutil.rmtree(folder.parent)


def test_a_killed_sender_is_replaced(capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run_id = run.identity["run_id"]
        run._sender._process.kill()
        run._sender._process.wait()
        for step in range(3):
            run.log_series({step: {"a": 1.0 / (1 + step)}})
    assert capsys.readouterr().err.count("warning: the process that talks to MLflow ended") == 1
    assert history(run_id, "a") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert get(run_id).info.status == "FINISHED"


KILLED_STAGE = """
import os, signal, sys
from pipeline.tracking.run import record
from tests.tracking.conftest import CONFIG
identity = {"variant": "v", "seed": 0, "fingerprint": sys.argv[1]}
with record(CONFIG, "train", identity) as run:
    assert run.identity["run_id"]
    run.log_series({1: {"a": 1.0}})
    if sys.argv[1] == "both":
        os.kill(run._sender._process.pid, signal.SIGSTOP)
    run.log_series({2: {"a": 2.0}})
    if sys.argv[1] == "both":
        os.kill(run._sender._process.pid, signal.SIGKILL)
    print(run.identity["run_id"], run._sender._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", ["stage", "both"])
def test_the_run_of_a_killed_stage_gets_all_records_and_ends_as_killed(killed):
    result = subprocess.run([sys.executable, "-c", KILLED_STAGE, killed], cwd=ROOT, stdout=-1, text=True, check=False)
    run_id, sender_pid = result.stdout.split()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(sender_pid)).wait(timeout=60)
    if killed == "both":  # the next stage sends the records
        [folder] = outbox.pending_runs()
        assert Journal(folder).info["run"] == "v-seed0" and run_id in outbox.abandoned_runs()
        assert get(run_id).info.status == "RUNNING"
        assert outbox.send_pending() == 1
    assert get(run_id).info.status == "KILLED" and history(run_id, "a") == [(1, 1.0), (2, 2.0)]
    assert not outbox.pending_runs() and run_id not in outbox.abandoned_runs()


def test_sending_waits_for_the_sender_of_a_killed_stage_but_not_for_a_living_stage():
    folder, lock = outbox.create_folder()
    started = time.monotonic()
    outbox.send_pending()  # this process is the stage
    assert time.monotonic() - started < 5
    dead = subprocess.Popen(["true"])
    dead.wait()
    dead_folder = folder.rename(folder.with_name(f"{folder.name.rpartition('-')[0]}-{dead.pid}"))
    timer = threading.Timer(1.0, os.close, [lock])
    timer.start()
    outbox.send_pending()
    assert not timer.is_alive() and not dead_folder.exists()
