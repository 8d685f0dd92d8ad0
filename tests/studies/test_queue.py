"""Processes of DVC's queue that are dead or not DVC's, and a folder that DVC cannot use."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline.core.errors import MelismaError
from pipeline.studies.queue import Queue, _process, open_queue
from pipeline.studies.study import load_experiments
from tests.studies.conftest import build


def test_a_worker_is_a_living_process_with_the_right_command_line(tmp_path):
    """After a restart of the machine, another process may have the id of a worker."""
    file = tmp_path / "worker.json"
    with subprocess.Popen([sys.executable, "-c", "input()", "queue-worker"], stdin=subprocess.PIPE) as process:
        file.write_text(json.dumps({"pid": process.pid, "returncode": None}))
        assert _process(file, "queue-worker") and not _process(file, "another word")
        file.write_text(json.dumps({"pid": process.pid, "returncode": 0}))
        assert not _process(file, "queue-worker")
        file.write_text(json.dumps({"pid": process.pid, "returncode": None}))
        process.kill()
    assert not _process(file, "queue-worker")


def test_a_foreign_process_with_the_id_of_an_experiment_lives_on(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()", "dvc exp show"], stdin=subprocess.PIPE) as process:
        info = SimpleNamespace(pid=process.pid, returncode=None)
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "mine.json").write_text(json.dumps(vars(info)))
        codes = []
        dvc = SimpleNamespace(
            pid_dir=str(tmp_path),
            proc={"mine": info},
            iter_active=lambda: [SimpleNamespace(name="study-mine", stash_rev="mine")],
            get_infofile_path=lambda key: str(tmp_path / "none"),
            kill=lambda keys, force: codes.append(info.returncode),
        )
        Queue(dvc).fail_orphans({"study-none"})
        assert codes == []
        Queue(dvc).fail_orphans({"study-mine"})
        assert codes == [-1] and process.poll() is None  # DVC sends no signal to a process with an exit code
        process.kill()
    missing = SimpleNamespace(name="study-mine", stash_rev="gone")
    assert "see .dvc/tmp/exps/celery/dvc-exp-worker-*.out" in Queue(dvc)._error(missing)


def test_nothing_is_queued_in_a_folder_that_is_not_ascii(tmp_path, monkeypatch):
    (tmp_path / "prüf").mkdir()
    project = build(tmp_path / "prüf")
    monkeypatch.chdir(project.path)
    project.write("mine", overrides={"train.epochs": 7})
    with open_queue() as queue:
        with pytest.raises(MelismaError, match=r"prüf/.*: DVC queues no experiments"):
            queue.add(load_experiments("mine")[0], "HEAD")
        assert queue.other_names(set()) == []
