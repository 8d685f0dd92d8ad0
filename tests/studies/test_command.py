"""`melisma study run`, without DVC's queue."""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.studies import commit, queue, run, runs, summary
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


def test_names_of_experiments_may_have_spaces_between_them(project, started):
    project.write("mine", models=["mean"], grid={"train.epochs": [7, 8, 9]})
    wanted = []
    started(
        lambda experiments, *_: wanted.extend(one.name for one in experiments) or {}, "--only", "epochs-7, epochs-9"
    )
    assert wanted == ["epochs-7", "epochs-9"]


def test_show_says_that_what_is_done_may_be_of_other_recordings(project):
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])
    assert CliRunner().invoke(app, ["study", "show", "mine"]).stderr == ""
    keep(project, commit.base())
    assert (
        "changes of the recordings are not checked" in CliRunner().invoke(app, ["study", "show", "mine"]).stderr
    )


class Stood:
    """A queue in which nothing is run: what is left in it after the first look has ended by the second one."""

    def __init__(self, states, workers=(), others=()):
        self.waiting, self.numbers, self.names = states, list(workers), list(others)
        self.put_in, self.forgotten, self.started = [], [], []

    def workers(self):
        return self.numbers

    def bury(self, names):
        pass

    def states(self, names):
        return {} if self.put_in else self.waiting

    def others(self, names):
        return self.names

    def forget(self, revision):
        self.forgotten.append(revision)
        self.waiting = {name: state for name, state in self.waiting.items() if state.revision != revision}

    def put(self, experiment, changed):
        self.put_in.append(experiment.full)

    def start(self, jobs):
        self.started.append(jobs)


@pytest.fixture
def ran(project, monkeypatch):
    """Run the study on a queue like that, and return what was said."""
    project.write("mine", overrides={"train.epochs": 7}, models=["mean"])

    def go(stood, jobs=1):
        said = []
        monkeypatch.setattr(queue, "opened", lambda: nullcontext(stood))
        states = run.run(experiments("mine"), commit.base(), jobs, lambda _: None, said.append)
        assert set(states) == {"mine"}
        return said

    return go


def test_what_was_queued_with_older_code_is_taken_out_and_queued_anew(project, ran):
    old = commit.stash(experiments("mine")[0], commit.base(), project.git("rev-parse", "HEAD"), "message")
    (project.path / "pipeline" / "code.py").write_text("x = 5\n")
    stood = Stood({"mine": State("queued", revision=old)})
    assert ran(stood) == ["mine: queued with other params or other code before; that one is not run"]
    assert (stood.forgotten, stood.put_in) == ([old], ["mine"])


def test_it_says_what_else_is_run_and_that_workers_run_already(ran):
    said = ran(Stood({}, workers=[1, 2], others=["own", "another"]), jobs=1)
    assert said == [
        "run as well, since they are in DVC's queue: own, another",
        "workers that run already: 2, more than --jobs 1; `dvc queue stop` ends them",
    ]


@pytest.mark.parametrize(("jobs", "started"), [(2, []), (3, [3]), (None, [])])
def test_workers_that_are_missing_are_added(ran, jobs, started):
    stood = Stood({}, workers=[1, 2])
    assert ran(stood, jobs) == [] and stood.started == started


def test_code_that_git_does_not_track_is_named(project, ran):
    (project.path / "notes.py").write_text("not of the pipeline\n")
    (project.path / "pipeline" / "new.py").write_text("y = 1\n")
    said = ran(Stood({}))
    assert said == ["warning: Git does not track pipeline/new.py: no experiment has them before `git add`"]
    project.git("add", "pipeline/new.py")
    assert ran(Stood({})) == []
    assert project.git("show", f"{commit.base()}:pipeline/new.py") == "y = 1"


def test_on_a_gpu_one_runs_at_a_time_and_else_one_for_every_four_cores(project, monkeypatch):
    project.write("mine", overrides={"train.epochs": 7})
    monkeypatch.setattr(run, "cores", lambda: 9)
    for kind, number in {"cuda": 1, "mps": 1, "cpu": 2}.items():
        picked = SimpleNamespace(pick=lambda _, kind=kind: SimpleNamespace(type=kind))
        monkeypatch.setitem(sys.modules, "pipeline.training.device", picked)
        assert run._jobs(experiments("mine")[0]) == number
