"""`melisma study run`, without DVC's queue."""

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.studies import commit, run, runs, summary
from pipeline.studies.queue import State
from pipeline.studies.study import experiments


@pytest.fixture
def started(project, monkeypatch):
    """Begin the command on a study of one experiment; `run.run` is replaced by `during`. What it noted is returned."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])
    noted = {}
    monkeypatch.setattr(runs, "note", lambda study, revisions, every: noted.update(revisions))
    monkeypatch.setattr(summary, "write", lambda *_: ([], []))

    def start(during, *options):
        monkeypatch.setattr(run, "run", during)
        result = CliRunner().invoke(app, ["study", "run", "mine", *options])
        assert result.exit_code == 0, result.output
        return noted

    return start


def keep(project, changed):
    """Make the experiment a finished one, and return its commit."""
    head = project.git("rev-parse", "HEAD")
    revision = commit.stash(experiments("mine")[0], changed, head, "message")
    project.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/mine", revision)
    return revision


def test_edits_made_while_a_study_runs_do_not_unmake_its_results(project, started):
    made = []

    def during(wanted, changed, *_):
        made.append(keep(project, changed))
        (project.path / "pipeline" / "code.py").write_text("x = 5\n")
        params = (project.path / "params.yaml").read_text()
        (project.path / "params.yaml").write_text(params.replace("clip_norm: 1.0", "clip_norm: 2.0"))
        return {one.name: State("done") for one in wanted}

    assert started(during, "--jobs", "1") == {"mine": made[0]}
