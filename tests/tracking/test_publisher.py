"""The publisher's process: one for a project and store, and replaced if it is killed."""

import os
import shutil
import time
from types import SimpleNamespace

import psutil
import pytest

from pipeline.core import workspace
from pipeline.tracking import publisher
from pipeline.tracking.run import record
from pipeline.tracking.run_folder import folder_for
from tests.tracking.conftest import CONFIG, IDENTITY, epoch, get, history


@pytest.fixture
def project(tmp_path, monkeypatch, empty_store):
    """A project whose publisher is a process."""
    publisher.forget()  # runs of other tests
    shutil.copy(empty_store, tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield tmp_path
    for process in processes(tmp_path):
        process.kill()


def processes(project):
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "pipeline.tracking.publisher" in (process.info["cmdline"] or ()) and process.cwd() == str(project):
            found.append(process)
    return found


def test_a_process_mirrors_live_runs_and_is_replaced_after_a_kill(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")
    with record(CONFIG, "train", IDENTITY) as opened:
        opened.log_epoch(epoch(1))
        (first,) = processes(project)
        end = time.monotonic() + 60
        while not folder_for("abc").sent.get("run_id") and time.monotonic() < end:
            time.sleep(0.1)
        assert get().info.status == "RUNNING"
        time.sleep(2.5)
        first.kill()
        first.wait()
        opened.log_epoch(epoch(2))
        opened.log_epoch(epoch(3))
    publisher.wait()  # starts another one
    (second,) = processes(project)
    assert second.pid != first.pid and capsys.readouterr().err == ""
    finished = get()
    assert finished.info.status == "FINISHED"
    assert history(finished, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    steps = [step for step, _ in history(finished, "system/cpu_utilization_percentage")]
    assert steps and steps == [*range(len(steps))]


def test_a_stage_warns_once_about_a_store_that_is_down(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:s3cret@127.0.0.1:9")
    with record(CONFIG, "train", IDENTITY) as opened:
        opened.log_epoch(epoch(1))
    publisher.wait()
    warning = capsys.readouterr().err
    assert warning.count("warning:") == 1 and "http://127.0.0.1:9 failed" in warning
    assert "`melisma runs --send`" in warning and str(folder_for("abc").path) in warning
    for text in (warning, publisher._log_file().read_text()):
        assert "s3cret" not in text


def test_a_stage_does_not_wait_for_a_publisher_that_fails_or_a_server_that_never_answers(project, monkeypatch, capsys):
    with record(CONFIG, "train", IDENTITY):
        [process.kill() for process in processes(project)]
        monkeypatch.setattr(publisher, "RESTART_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONSTARTUP", "")
    monkeypatch.setattr(publisher.sys, "executable", "/bin/false")
    publisher.wait()
    assert "the process that sends runs to MLflow failed" in capsys.readouterr().err
    monkeypatch.setattr(publisher, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr(publisher, "start", lambda: None)
    folders = [publisher.RunFolder(project / name) for name in "ab"]
    for folder in folders:
        folder.path.mkdir()
        folder.update(store="mlflow.db")
        publisher.wait_at_end(folder, folder.path.name)
    with pytest.raises(KeyboardInterrupt), record(CONFIG, "train", IDENTITY):
        raise KeyboardInterrupt
    publisher.wait()
    assert capsys.readouterr().err == ""  # a signal came
    for folder in folders:
        publisher.wait_at_end(folder, folder.path.name)
    start = time.monotonic()
    publisher.wait()
    assert capsys.readouterr().err.count("does not have the run yet") == 2 and time.monotonic() - start < 1.9


def test_it_ends_if_no_stage_records_or_the_project_is_deleted(project, monkeypatch):
    monkeypatch.setattr(publisher, "LIVE_SECONDS", 0.1)
    monkeypatch.setattr(publisher, "IDLE_SECONDS", 0.5)
    (project / ".melisma" / "runs").mkdir(parents=True)
    (project / ".melisma" / "runs" / publisher.WAKE_FILE).touch()
    start = time.monotonic()
    publisher.main()
    assert 0.4 < time.monotonic() - start < 5
    monkeypatch.setattr(publisher, "publish_all", lambda _: shutil.rmtree(workspace.state_folder()) or True)
    publisher.main()
    assert not (project / ".melisma" / "runs").exists()


def test_a_run_that_a_stage_records_is_live_and_a_lock_of_another_store_is_another_one(project, monkeypatch):
    popen = []
    stand_in = SimpleNamespace(DEVNULL=None, Popen=lambda *_, pass_fds, **__: popen.append(os.dup(pass_fds[0])))
    monkeypatch.setattr(publisher, "subprocess", stand_in)
    with record(CONFIG, "train", IDENTITY):
        assert folder_for("abc").is_live()
        publisher.start()
        assert len(popen) == 1  # one runs
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        publisher.start()
        assert len(popen) == 2
    assert not folder_for("abc").is_live()
    for lock in popen:
        os.close(lock)
