"""Cases in which `melisma gc` leaves something alone as a whole."""

import subprocess
import sys

from typer.testing import CliRunner

from pipeline.cli import app
from tests.gc.conftest import gc, names


def test_the_runs_of_a_server_stay(project, monkeypatch):
    project.commit("here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nothing listens
    project.record_run("here")
    project.record_run("gone")
    unused = gc()
    assert names(unused) == {("runs", "gone gone")} and "other people" in unused["notes"][0]


def test_nothing_is_removed_while_dvc_runs_a_stage(project):
    project.commit("here")
    project.store_training("gone")
    workspace = project.path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"  # of DVC
    workspace.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", "input()", "-m", "dvc"], cwd=workspace, stdin=subprocess.PIPE
    ) as process:
        result = CliRunner().invoke(app, ["gc", "--yes"])
        process.kill()
    assert result.exit_code == 1 and f"(process {process.pid}); try again when it has ended" in result.stderr
    assert (project.path / ".melisma" / "seeds" / "gone").exists()
    shown = CliRunner().invoke(app, ["gc"]).stdout.splitlines()
    assert shown[0].split()[:3] == ["seeds", "mel_conv-seed0", "gone"] and shown[1].startswith("1 item, 1.03kB: can be")
