"""What of DVC's queue is alive, and what is ended of it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from pipeline.core.errors import MelismaError
from pipeline.studies.queue import Queue, opened
from pipeline.studies.study import experiments
from tests.studies.conftest import build

SLEEP = "import time; print(flush=True); time.sleep(60)"


def begun(*arguments):
    """A process that sleeps, with these arguments."""
    made = subprocess.Popen([sys.executable, "-c", SLEEP, *arguments], stdout=subprocess.PIPE)
    made.stdout.readline()
    return made


@pytest.fixture
def process():
    """One that looks like a worker, and like what runs the experiments mine and other."""
    with begun("queue-worker", "mine", "other") as made:
        yield made
        made.kill()


class DVC:
    """What DVC's queue knows of processes: `process` is a worker, and runs the experiments mine and other."""

    def __init__(self, folder, process):
        self.wdir = self.pid_dir = str(folder)
        self.proc = {name: SimpleNamespace(pid=process.pid, returncode=None) for name in ("mine", "other")}
        self.killed = {}
        for file in ("mine/mine.json", "other/other.json", "dvc-exp-worker-1.json"):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(json.dumps({"pid": process.pid, "returncode": None}))

    def iter_active(self):
        return [SimpleNamespace(name=f"study-{name}", stash_rev=name) for name in self.proc]

    def get_infofile_path(self, key):
        return f"{self.wdir}/none"

    def kill(self, keys, force):
        self.killed |= {key: self.proc[key].returncode for key in keys}


def test_a_worker_is_one_as_long_as_it_lives(tmp_path, process):
    queue = Queue(DVC(tmp_path, process))
    assert queue.workers() == [process.pid]
    process.kill()
    process.wait()
    assert queue.workers() == []


def test_after_a_restart_whoever_has_the_number_is_no_worker_and_lives_on(tmp_path):
    with begun("dvc", "exp", "show") as process:
        known = DVC(tmp_path, process)
        assert Queue(known).workers() == []
        Queue(known).bury({"study-mine"})
        assert known.killed == {"mine": -1} and process.poll() is None  # with a code of its end DVC sends no signal
        process.kill()


def test_of_the_dead_workers_experiments_those_of_the_study_alone_are_ended(tmp_path, process):
    known = DVC(tmp_path, process)
    Queue(known).bury({"study-none"})
    assert known.killed == {} and process.poll() is None
    Queue(known).bury({"study-mine"})
    assert known.killed == {"mine": -1} and not psutil.pid_exists(process.pid)


def test_in_a_folder_in_which_dvc_could_not_begin_it_nothing_is_queued(tmp_path, monkeypatch):
    (tmp_path / "prüf").mkdir()
    project = build(tmp_path / "prüf")
    monkeypatch.chdir(project.path)
    project.write("mine", overrides={"train.epochs": 7})
    with opened() as queue:
        with pytest.raises(MelismaError, match=r"prüf/.*: DVC queues no experiments"):
            queue.put(experiments("mine")[0], "HEAD")
        assert queue.others(set()) == []


def test_of_an_experiment_that_dvc_could_not_begin_its_workers_log_is_named(tmp_path, process):
    entry = SimpleNamespace(name="study-mine", stash_rev="gone")
    assert "dvc-exp-worker-*.out says why" in Queue(DVC(tmp_path, process))._error(entry)
