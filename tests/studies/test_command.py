"""`melisma study run` and `show` without DVC's queue, and the display of a running study."""

import time

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.study import status_display
from pipeline.studies import commit, queue, results, runner
from pipeline.studies.queue import State
from pipeline.studies.study import load_experiments
from tests.studies.conftest import complete

QUEUED = State("queued")
EPOCH_1, EPOCH_2 = (State("running", f"train@a, epoch {n} of 9") for n in (1, 2))
FAILED = State("failed", "train@a: the loss is not finite")


@pytest.fixture
def study_run(project, monkeypatch):
    """Runs the command with a stand-in for `runner.run_study`; returns the commits of the current results."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])
    commits = {}

    def read_rows(_, results_of, base):
        commits.update({name: c for name, c in results_of.items() if commit.has_code(c, base)})
        return []

    monkeypatch.setattr(results, "read_rows", read_rows)

    def run(stand_in, *options):
        monkeypatch.setattr(runner, "run_study", stand_in)
        result = CliRunner().invoke(app, ["study", "run", "mine", *options])
        assert result.exit_code == 0, result.output
        return commits

    return run


def test_edits_during_a_study_do_not_invalidate_its_results(project, study_run):
    commits = []

    def stand_in(experiments, base, *_):
        commits.extend(complete(project, "mine", base))
        (project.path / "pipeline" / "code.py").write_text("x = 5\n")
        params = (project.path / "params.yaml").read_text()
        (project.path / "params.yaml").write_text(params.replace("clip_norm: 1.0", "clip_norm: 2.0"))
        yield {experiment.name: State("done") for experiment in experiments}

    assert study_run(stand_in, "--jobs", "1") == {"mine": commits[0]}


def test_names_of_experiments_may_have_spaces_between_them(project, study_run):
    project.write("mine", models=["mean"], grid={"train.epochs": [7, 8, 9]})
    names = []

    def stand_in(experiments, *_):
        names.extend(experiment.name for experiment in experiments)
        yield {}

    study_run(stand_in, "--only", "epochs-7, epochs-9")
    assert names == ["epochs-7", "epochs-9"]


def test_show_warns_that_recordings_are_not_checked(project):
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])
    next_step = "`melisma study run mine` runs what is missing\n"
    assert CliRunner().invoke(app, ["study", "show", "mine"]).stderr == next_step
    complete(project, "mine", commit.snapshot())
    result = CliRunner().invoke(app, ["study", "show", "mine"])
    assert "changes of the recordings are not checked" in result.stderr
    assert result.stderr.endswith("`melisma study table mine` shows the results\n")


@pytest.fixture
def run_on(project, monkeypatch):
    """Runs the study on a stand-in for the queue, which is empty at the second look; returns messages and changes."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])

    def run(states=None, workers=(), jobs=1):
        calls, messages = [], []
        for name in ("add", "remove", "start_workers", "fail_orphans"):
            monkeypatch.setattr(queue, name, lambda *arguments, name=name: calls.append((name, arguments[0])))
        monkeypatch.setattr(queue, "workers", lambda: list(workers))
        looks = iter([states or {}])
        monkeypatch.setattr(queue, "states", lambda: next(looks, {}))
        *_, ended = runner.run_study(load_experiments("mine"), commit.snapshot(), jobs, 1, messages.append)
        assert set(ended) == {"mine"}
        return messages, calls

    return run


def test_an_experiment_that_was_queued_with_older_code_is_queued_again(project, run_on):
    [experiment] = load_experiments("mine")
    old = queue.create_stash(experiment, commit.snapshot())
    (project.path / "pipeline" / "code.py").write_text("x = 5\n")
    messages, calls = run_on({"mine": State("queued", commit=old)})
    assert messages == ["mine: was queued with other params or code; it is queued again with the new ones"]
    assert calls[1:] == [("remove", old), ("add", experiment)]


def test_messages_about_other_experiments_and_too_many_workers(run_on):
    others = {"own": QUEUED, "another": QUEUED, "third": EPOCH_1}
    assert run_on(others, workers=[1, 2])[0] == [
        "DVC's queue also runs: own, another",
        "2 workers run already, more than --jobs 1; `dvc queue stop` ends them",
    ]
    for jobs, started in ((2, []), (3, [3]), (None, [])):  # missing workers are started
        messages, calls = run_on(workers=[1, 2], jobs=jobs)
        assert messages == []
        assert [count for name, count in calls if name == "start_workers"] == started


def test_a_warning_names_code_that_git_does_not_track(project, run_on):
    (project.path / "notes.py").write_text("not of the pipeline\n")
    (project.path / "pipeline" / "new.py").write_text("y = 1\n")
    message = "warning: Git does not track pipeline/new.py: no experiment has them before `git add`"
    assert run_on()[0] == [message]
    project.git("add", "pipeline/new.py")
    assert run_on()[0] == []
    assert project.git("show", f"{commit.snapshot()}:pipeline/new.py") == "y = 1"


def test_without_a_terminal_each_change_of_a_stage_or_status_is_a_line(capsys):
    with status_display("mine") as display:
        for state in (QUEUED, QUEUED, EPOCH_1, EPOCH_2, FAILED):
            display({"first": state, "second": QUEUED})
    assert capsys.readouterr().out.splitlines() == [
        "first: queued",
        "second: queued",
        "first: running, train@a",
        "first: failed, train@a: the loss is not finite",
    ]


def test_on_a_terminal_a_table_shows_epoch_and_time(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with status_display("mine") as display:
        display({"first": State("running", "train@a, epoch 2 of 9", time.time() - 61), "second": QUEUED})
    output = capsys.readouterr().out
    assert "mine: 1 running, 1 queued" in output and "train@a, epoch 2 of 9" in output
    assert "1\N{NO-BREAK SPACE}min" in output
