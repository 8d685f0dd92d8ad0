"""A store that fails: each message has the reason, and a command or a setting that helps."""

import http.server
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow.store.db import utils

from pipeline.tracking import store

HEAD = utils._get_latest_schema_revision()


@pytest.fixture
def project(tmp_path, monkeypatch, empty_store):
    """The current project, in a folder whose name a shell and an address must quote."""
    folder = tmp_path / "it's 50% #1?"
    folder.mkdir()
    for file in (empty_store, "params.yaml", "dvc.yaml"):
        shutil.copy(file, folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    return folder


def message():
    """What `melisma doctor` says; empty if the store works."""
    store._create_client.cache_clear()
    try:
        store.check()
    except Exception as error:
        return store.failure_message(error)
    return ""


def run_commands(text):
    """Run the commands in a message with `sh`, as a user would, but those of melisma."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in re.findall("`(.*?)`", text):
        if not command.startswith("melisma"):
            subprocess.run(["sh", "-c", command], cwd="/", env=os.environ | {"PATH": path}, check=True)


def set_revision(project, revision):
    with sqlite3.connect(project / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])


def test_a_new_database_in_a_folder_of_any_name(project):
    (project / "mlflow.db").unlink()
    assert message() == ""
    assert {path.name for path in project.parent.iterdir()} == {project.name}  # no other folder beside it
    locations = [experiment.artifact_location for experiment in store.client().search_experiments()]
    assert all(location.startswith(f"{store.artifact_root()}/") for location in locations) and len(locations) == 2


@pytest.mark.parametrize("damage", ["text", "cut", "folder"])
def test_a_damaged_database_is_moved_away(project, damage):
    file = project / "mlflow.db"
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    else:
        file.write_bytes(b"no database" * 999 if damage == "text" else content[: len(content) // 3])
    text = message()
    assert "move it away" in text and "`melisma runs --send`" in text
    run_commands(text)
    assert not file.exists() and (project / ".melisma" / "damaged" / "mlflow.db").exists()


def test_the_schema_of_another_mlflow(project):
    for revision in ("f" * 12, "0584bdc529eb"):  # of a later one; one of MLflow's own
        set_revision(project, revision)
        text = message()
        assert "if a later one has: install that version" in text
        [upgrade] = re.findall("`(.*?)`", text)
        assert upgrade == f"mlflow db upgrade {shlex.quote(store.tracking_uri())}"
    set_revision(project, HEAD)  # else the tables of later revisions would stand in the way
    run_commands(text)
    assert message() == ""


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("localhost:5000", "correct MLFLOW_TRACKING_URI"),
        ("nonsense://here", "correct MLFLOW_TRACKING_URI"),
        ("sqlite://here/mlflow.db", "correct MLFLOW_TRACKING_URI"),
        ("mysql://me:secret@127.0.0.1:9/a", "install this package"),
        ("postgresql://me:secret@127.0.0.1:9/a", "check MLFLOW_TRACKING_URI"),
        ("http://me:secret@127.0.0.1:9", "check MLFLOW_TRACKING_URI"),
        ("http://me:secret@nobody.invalid", "check MLFLOW_TRACKING_URI"),
    ],
)
def test_a_wrong_address(project, monkeypatch, uri, words):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(store, "DATABASE_RETRIES", 1)
    text = message()
    assert words in text and "secret" not in text and "\n" not in text


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "", "check MLFLOW_TRACKING_URI, that server, and your rights there"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}', "your rights there"),
        (403, "Invalid Host header - possible DNS rebinding attack detected", "Invalid Host header"),
        (404, "<html>", "correct MLFLOW_TRACKING_URI"),
        (200, "<html>", "correct MLFLOW_TRACKING_URI"),
        (500, "", "that server"),
    ],
)
def test_a_server_that_refuses(project, monkeypatch, status, body, words):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert words in message()
        server.shutdown()


def test_what_this_user_may_not_write(project, monkeypatch):
    """Root may write everything, so `os.access` says otherwise."""
    assert message() == ""
    access = os.access
    for denied in (project / "mlflow.db", project):
        monkeypatch.setattr(os, "access", lambda path, mode, denied=denied: path != denied and access(path, mode))
        text = message()
        assert f"Permission denied: '{denied}'" in text.replace('"', "'")
        assert text.endswith(f"right to write to this file and to the folder {shlex.quote(str(project))}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("database is locked", "fuser"),
        ("database or disk is full", "free some space"),
        ("[Errno 28] No space left on device", "free some space"),
        ("attempt to write a readonly database", "give this user the right to write"),
        ("anything else", "`melisma runs --send` tries again"),
    ],
)
def test_errors_of_the_disk(project, text, words):
    assert words in store.remedy(sqlite3.OperationalError(text))
