"""What DVC's releases may change: its commits, entries and files; and processes that are dead or not DVC's."""

import json
import pickle
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from dvc.cli import main as dvc

from pipeline.core.errors import MelismaError
from pipeline.schema import schema
from pipeline.studies import commit, queue
from pipeline.studies.study import load_experiments
from tests.studies.conftest import build


def describe(project, entry):
    """All that DVC stores of a queued experiment, without its name and its commit."""
    stash = entry.stash_rev
    blob = subprocess.run(["git", "cat-file", "blob", f"{stash}:.dvc/tmp/repro.dat"], capture_output=True, check=True)
    values = {
        "entry": asdict(entry) | {"stash_rev": ""},
        "environment": pickle.loads(blob.stdout)["kwargs"]["run_env"],  # all others are options and their defaults
        "files": project.git("diff", "--name-only", "HEAD", stash).splitlines(),
        "parents": len(project.git("log", "-1", "--format=%p", stash).split()),
        "message": project.git("log", "-1", "--format=%s", stash),
        "stashed": project.git("log", "-g", "--format=%H %gs", queue._queue().ref).count(f"{stash} commit: "),
    }
    return repr(values).replace(entry.name, "NAME")


def test_a_queued_experiment_equals_one_that_dvc_queues(project):
    """If a release of DVC changes what `dvc exp run --queue` stores, `queue` must change too."""
    project.write("ours", overrides={"train.epochs": 7})
    assert dvc(["exp", "run", "--queue", "-n", "theirs", "-S", "train.epochs=7"]) == 0
    queue.add(load_experiments("ours")[0], commit.snapshot())
    entries = {entry.name: entry for entry in queue._queue().iter_queued()}
    assert describe(project, entries["ours"]) == describe(project, entries["theirs"])
    assert commit.has_params(entries["theirs"].stash_rev, load_experiments("ours")[0])
    assert {name: state.status for name, state in queue.states().items()} == {"ours": "queued", "theirs": "queued"}
    queue.remove(entries["ours"].stash_rev)
    assert dvc(["queue", "remove", "theirs"]) == 0
    assert queue.states() == {} and schema.load().train.epochs != 7


def test_a_worker_is_a_living_process_with_the_right_command_line(tmp_path):
    """After a restart of the machine, another process may have the id of a worker."""
    file = tmp_path / "worker.json"
    with subprocess.Popen([sys.executable, "-c", "input()", "queue-worker"], stdin=subprocess.PIPE) as process:
        file.write_text(json.dumps({"pid": process.pid, "returncode": None}))
        assert queue._process(file, "queue-worker") and not queue._process(file, "another word")
        file.write_text(json.dumps({"pid": process.pid, "returncode": 0}))
        assert not queue._process(file, "queue-worker")
        file.write_text(json.dumps({"pid": process.pid, "returncode": None}))
        process.kill()
    assert not queue._process(file, "queue-worker")


def test_a_foreign_process_with_the_id_of_an_experiment_lives_on(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc exp show"], stdin=subprocess.PIPE) as process:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "mine.json").write_text(json.dumps({"pid": process.pid, "returncode": None}))
        failed = []
        entry = SimpleNamespace(name="study-mine", stash_rev="mine")
        stand_in = SimpleNamespace(
            pid_dir=str(tmp_path),
            _iter_active_tasks=lambda: [(SimpleNamespace(id="task"), entry)],
            _load_info=lambda _: SimpleNamespace(root_dir=str(tmp_path / "none")),
            celery=SimpleNamespace(backend=SimpleNamespace(mark_as_failure=lambda task, _: failed.append(task))),
        )
        monkeypatch.setattr(queue, "_queue", lambda: stand_in)
        queue.fail_orphans({"study-none"})
        assert failed == []
        queue.fail_orphans({"study-mine"})
        assert failed == ["task"] and process.poll() is None
        process.kill()
    assert "see .dvc/tmp/exps/celery/dvc-exp-worker-*.out" in queue._read_log(entry)[1]


def test_nothing_is_queued_in_a_folder_that_is_not_ascii(tmp_path, monkeypatch):
    (tmp_path / "prüf").mkdir()
    project = build(tmp_path / "prüf")
    monkeypatch.chdir(project.path)
    project.write("mine", overrides={"train.epochs": 7})
    with pytest.raises(MelismaError, match=r"prüf/.*: DVC queues no experiments"):
        queue.add(load_experiments("mine")[0], "HEAD")
    assert queue.states() == {}
