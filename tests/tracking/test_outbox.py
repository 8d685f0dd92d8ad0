"""Nothing that a stage records is lost or doubled, whatever fails or is killed."""

import contextlib
import json
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

from pipeline.tracking import beside, outbox, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.journal import Journal, reason
from pipeline.tracking.run import record
from tests.tracking.recorded import get, history, put_aside

CONFIG = TrackingConfig(experiment="tests")
IDENTITY = {"variant": "mel_conv", "seed": 3, "fingerprint": "outbox", "data": "def"}
ROOT = Path(__file__).parents[2]


def newest(fingerprint):
    number = store.experiment(store.client(), "tests")
    return store.client().search_runs([number], f"tags.fingerprint = '{fingerprint}'")


@contextlib.contextmanager
def broken(project):
    """A store that takes metrics but no artifacts."""
    place = project / "mlartifacts" / "tests"
    place.mkdir(parents=True, exist_ok=True)
    kept = place.rename(place.with_name("kept"))
    place.write_text("no folder")
    yield
    place.unlink()
    kept.rename(place)


@pytest.fixture
def first():
    with record(CONFIG, "train", IDENTITY) as run:
        pass
    return run


def test_a_store_that_is_down_stops_nothing_and_keeps_all(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "a.png").write_bytes(b"png")
    identity = IDENTITY | {"fingerprint": "down"}
    with record(CONFIG, "train", identity) as run:
        assert run.identity["run_id"] is None
        run.params({"b": 2})
        run.series({1: {"a": 0.5}, 2: {"a": 0.25}})
        run.folder(tmp_path, "figures")
    (tmp_path / "a.png").unlink()
    said = capsys.readouterr().err
    assert said.count("warning:") == 1 and "MLflow at http://127.0.0.1:9 failed" in said
    assert str(run._journal.folder) in said and "melisma runs --send" in said
    written = b"".join(file.read_bytes() for file in run._journal.folder.rglob("*") if file.is_file())
    assert b"s3cret" not in written and "s3cret" not in said
    folder = put_aside(run)
    shutil.rmtree(run._journal.folder)
    assert [(waits.name, waits.stage, waits.store) for waits in outbox.waiting()] == [
        ("mel_conv-seed3", "train", "http://127.0.0.1:9")
    ]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert outbox.send() == 0  # it belongs to the other store
    about = folder / "about.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"store": outbox.here()}))
    with record(CONFIG, "evaluate", identity) as later:
        pass
    assert "sent what waited of 1 earlier" in capsys.readouterr().out
    found = get(later.identity["run_id"])  # evaluate goes on with the run of train, which was sent first
    assert found.data.params == {"b": "2"} and history(found.info.run_id, "a") == [(1, 0.5), (2, 0.25)]
    assert [a.path for a in store.client().list_artifacts(found.info.run_id, "figures")] == ["figures/a.png"]
    assert len(newest("down")) == 1 and not outbox.waiting() and not folder.parent.exists()


def test_every_question_leaves_what_is_set_for_mlflow(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    store.client()
    beside._adopt({"MLFLOW_HTTP_REQUEST_TIMEOUT": "7"})
    assert (store.DEFAULTS | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "7"}).items() <= os.environ.items()


@pytest.mark.parametrize(("said", "waits"), [("15", "120"), ("7", "7")])
def test_files_are_waited_for_longer_unless_the_environment_says_how_long(monkeypatch, said, waits):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", said)
    with store.sending_files():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == waits
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == said


def test_what_a_server_answered_is_said_rather_than_what_was_asked():
    error = MlflowException("API request to http://127.0.0.1/api/2.0/mlflow/experiments/search failed")
    error.__cause__ = ResponseError("too many 503 error responses")
    assert reason(error) == "too many 503 error responses"


def test_a_store_that_fails_in_the_middle_gets_the_rest_when_it_works_again(first, project, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"png")
    with record(CONFIG, "figures", first.identity) as run:
        run.series({1: {"middle": 0.5}})
        with broken(project):
            run.folder(tmp_path, "figures")
            run.series({2: {"middle": 0.25}})
            run._send(wait=True)
            assert history(first.identity["run_id"], "middle") == [(1, 0.5)]
    said = capsys.readouterr()
    assert said.err.count("warning: MLflow") == 1 and "works again" in said.out
    assert history(first.identity["run_id"], "middle") == [(1, 0.5), (2, 0.25)]
    assert get(first.identity["run_id"]).info.status == "FINISHED" and not run._journal.folder.exists()


def test_what_was_sent_and_never_answered_is_not_doubled(first):
    identity = IDENTITY | {"fingerprint": "again"}
    with record(CONFIG, "train", identity) as run:
        run.series({1: {"a": 0.5}})
        assert run.identity["run_id"]
        run.metrics({"b": 1.0}, 7, once="b")
        run._send(wait=True)
        folder = put_aside(run)
    started = get(run.identity["run_id"]).info.start_time
    (folder / "sent.json").unlink()  # as if no answer had ever come
    assert outbox.send() == 1
    assert [found.info.run_id for found in newest("again")] == [run.identity["run_id"]]
    assert history(run.identity["run_id"], "a") == [(1, 0.5)] and history(run.identity["run_id"], "b") == [(7, 1.0)]
    assert get(run.identity["run_id"]).info.start_time == started


def test_a_training_that_goes_on_logs_nothing_twice():
    identity = IDENTITY | {"fingerprint": "resumed"}
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", identity) as run:
        run.series({1: {"a": 0.5, "b": 1.0}, 2: {"a": 0.25, "b": 1.0}}, once="a")
        raise KeyboardInterrupt
    journal = Journal.begin(run._beside.folder / "later", {})  # another process: this one has asked what is there
    with record(CONFIG, "train", run.identity):
        journal.run_id = run.identity["run_id"]
        journal.add("series", {2: {"a": 0.2, "b": 2.0}, 3: {"a": 0.1, "b": 2.0}}, int(time.time() * 1000), "a")
        journal.send()
    journal.discard()
    assert history(run.identity["run_id"], "a") == [(1, 0.5), (2, 0.25), (3, 0.1)]
    assert history(run.identity["run_id"], "b") == [(1, 1.0), (2, 1.0), (3, 2.0)]


def test_what_mlflow_refuses_is_said_and_keeps_nothing_else_back(capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run.params({"a": 1})
        run.params({"a": 2})  # which cannot change
        run.tag("b", "c")
    assert "refused params" in capsys.readouterr().err
    found = get(run.identity["run_id"])
    assert found.data.params == {"a": "1"} and found.data.tags["b"] == "c" and found.info.status == "FINISHED"


def test_a_call_that_always_fails_keeps_nothing_else_back(first, capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        run._tell("no such function")
        run.metrics({"a": 2.0})
    assert capsys.readouterr().err.count("warning: MLflow") == 1
    assert get(run.identity["run_id"]).info.status == "FINISHED" and history(run.identity["run_id"], "a") == [(0, 2.0)]
    bad = put_aside(run)
    shutil.rmtree(run._journal.folder)
    with record(CONFIG, "train", IDENTITY) as other:
        other.metrics({"a": 1.0})
    assert history(other.identity["run_id"], "a") == [(0, 1.0)]
    assert outbox.send() == 0 and str(bad) in capsys.readouterr().err
    assert len((bad / "calls.jsonl").read_text().splitlines()) == 1  # the one that failed
    shutil.rmtree(bad.parent)


def test_killed_while_it_keeps_what_failed_a_journal_still_knows_its_run(first, project, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"png")
    identity = IDENTITY | {"fingerprint": "kept"}
    with record(CONFIG, "train", identity) as run:
        assert run.identity["run_id"]
        run.folder(tmp_path, "figures")
        run._send(wait=True)
        kept = put_aside(run)
    (kept / "sent.json").unlink()
    with broken(project), monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        replace = Path.replace

        def killed(self, target):
            replace(self, target)
            if target.name == "calls.jsonl":
                raise KeyboardInterrupt

        patch.setattr(Path, "replace", killed)
        Journal(kept).send(whole=True)
    assert Journal(kept).run_id == run.identity["run_id"]
    shutil.rmtree(kept.parent)


def test_when_its_process_is_killed_all_is_sent_by_another_one(first, capsys):
    with record(CONFIG, "train", IDENTITY) as run:
        assert run.identity["run_id"]
        run._beside._process.kill()
        run._beside._process.wait()
        for step in range(3):
            run.metrics({"a": 1.0 / (1 + step)}, step)
    assert capsys.readouterr().err.count("warning: MLflow") == 1
    assert history(run.identity["run_id"], "a") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert get(run.identity["run_id"]).info.status == "FINISHED"


KILLED = """
import os, signal, sys
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from tests.tracking.recorded import get, history, put_aside
identity = {"variant": "v", "seed": 0, "fingerprint": sys.argv[1]}
with record(TrackingConfig(experiment="tests"), "train", identity) as run:
    assert run.identity["run_id"]
    run.metrics({"a": 1.0}, 1)
    if sys.argv[1] == "both":
        os.kill(run._beside._process.pid, signal.SIGSTOP)
    run.metrics({"a": 2.0}, 2)
    if sys.argv[1] == "both":
        os.kill(run._beside._process.pid, signal.SIGKILL)
    print(run.identity["run_id"], run._beside._process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", ["stage", "both"])
def test_a_killed_stage_leaves_a_run_that_is_complete_and_killed(first, killed):
    done = subprocess.run([sys.executable, "-c", KILLED, killed], cwd=ROOT, stdout=-1, text=True, check=False)
    run_id, beside = done.stdout.split()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(beside)).wait(timeout=60)
    if killed == "both":
        assert [waits.name for waits in outbox.waiting()] == ["v-seed0"] and run_id in outbox.abandoned()
        assert get(run_id).info.status == "RUNNING"
        assert outbox.send() == 1
    assert get(run_id).info.status == "KILLED" and history(run_id, "a") == [(1, 1.0), (2, 2.0)]
    assert not outbox.waiting() and run_id not in outbox.abandoned()


def test_what_a_killed_stage_sends_is_waited_for_and_what_works_is_not():
    folder, held = outbox.begin()
    began = time.monotonic()
    outbox.send()  # this process is the stage, and alive
    assert time.monotonic() - began < 5
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = folder.rename(folder.with_name(f"{folder.name.rpartition('-')[0]}-{gone.pid}"))
    timer = threading.Timer(1.0, os.close, [held])
    timer.start()
    outbox.send()
    assert not timer.is_alive() and not left.exists()
