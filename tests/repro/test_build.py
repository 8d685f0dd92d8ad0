"""Stages side by side: order, shares, failures, memory and signals. Small programs stand for DVC."""

import os
import signal
import sys
import textwrap
import threading
import time
from collections import namedtuple

import psutil
import pynvml
import pytest

from pipeline.repro import build
from pipeline.repro.build import Build, Job, default_jobs, depths, memory_need
from pipeline.repro.graph import Stage
from pipeline.training.config import TrainConfig


class Log:
    """A view that stores all that it is shown."""

    def __init__(self):
        self.lines, self.ended = [], []

    def on_line(self, job, line):
        self.lines.append((job.stage.name, line))

    def on_end(self, job):
        self.ended.append((job.stage.name, job.outcome))

    def on_poll(self, jobs):
        pass


# As DVC, it waits for its stage; a signal to it would end it at once.
DVC = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)"


def stages(**needs):
    return [Stage(name, frozenset(needed.split())) for name, needed in needs.items()]


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """A dict from a stage's name to the code that it runs in `tmp_path`; a stage without one only ends."""
    codes = {}

    def command(name):
        start = f"import os; os.chdir({str(tmp_path)!r})\n"
        stage = [sys.executable, "-c", start + textwrap.dedent(codes.get(name, ""))]
        after = f"open({str(tmp_path / 'dvc-went-on')!r}, 'w'); sys.exit(code)"
        return [sys.executable, "-c", f"{DVC}\ncode = subprocess.call({stage!r})\n{after}"]

    monkeypatch.setattr(build, "command", command)
    return codes


WAIT_FOR = """
import pathlib, time
pathlib.Path("{own}").touch()
end = time.monotonic() + 20
while not pathlib.Path("{other}").exists():
    assert time.monotonic() < end
    time.sleep(0.02)
"""


# Fails beside another one.
ALONE = 'import time; os.mkdir("alone"); time.sleep(0.5); os.rmdir("alone")'


def test_needed_stages_come_first_and_long_chains_before_short_ones(programs):
    log = Log()
    chain = stages(short="", a="", b="a", c="b", end="short c")
    assert Build(chain, 1, log).run() == []
    assert [name for name, _ in log.ended] == ["a", "b", "short", "c", "end"]
    assert depths(chain) == {"short": 2, "a": 4, "b": 3, "c": 2, "end": 1}


def test_independent_stages_run_at_the_same_time(programs):
    programs["a"], programs["b"] = WAIT_FOR.format(own="a", other="b"), WAIT_FOR.format(own="b", other="a")
    log = Log()
    assert Build(stages(a="", b=""), 2, log).run() == []
    assert sorted(log.ended) == [("a", "done"), ("b", "done")]


def test_no_more_stages_run_at_once_than_jobs(programs, tmp_path):
    programs.update(dict.fromkeys("abc", ALONE))
    run = Build(stages(a="", b="", c=""), 1, Log())
    assert (run.run(), run.failed) == ([], [])


def test_the_cores_are_shared_by_what_can_run(programs, monkeypatch):
    monkeypatch.setenv("MELISMA_CORES", "6")
    programs.update(dict.fromkeys("abcd", 'print(os.environ["MELISMA_CORES"])'))
    log = Log()
    Build(stages(a="", b="a", c="a", d="b c"), 8, log).run()
    assert dict(log.lines) == {"a": "6", "b": "3", "c": "3", "d": "6"}


def test_a_failure_stops_only_what_needs_it(programs):
    programs["a"] = 'print("  epoch 3 of 9: loss 1"); print("error: no data"); print("ERROR: failed"); exit(255)'
    log = Log()
    run = Build(stages(a="", b="a", c="b", d="", e="d"), 2, log)
    assert run.run() == ["b", "c"]
    assert [(job.stage.name, job.reason, job.epoch) for job in run.failed] == [("a", "no data", (3, 9))]
    assert set(log.ended) == {("a", "FAILED"), ("d", "done"), ("e", "done")}


def test_a_stage_that_dies_without_a_word_has_a_reason(programs):
    programs["a"], programs["b"] = "exit(3)", "os.kill(os.getppid(), 9)"
    run = Build(stages(a="", b=""), 2, Log())
    run.run()
    reasons = {job.stage.name: job.reason for job in run.failed}
    assert reasons == {"a": "ended with exit code 3", "b": "ended by SIGKILL"}


def test_the_time_left_follows_the_epochs_of_the_current_seed(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    job = Job(Stage("a", frozenset()), None)
    for seconds, line, end in (
        (50, "epoch 1 of 11: loss 1", None),  # the start of a stage is no epoch
        (10, "epoch 6 of 11: loss 1", 170.0),  # 2 s an epoch
        (10, "epoch 11 of 11: loss 1", 170.0),
        (5, "epoch 1 of 11: loss 1", None),  # the next seed
        (1, "epoch 2 of 11: loss 1", 185.0),
    ):
        now[0] += seconds
        job.read(line)
        assert job.training_end == end, line


def test_lines_of_dvc_that_say_nothing_are_left_out(programs):
    programs["a"] = """
        print("Running stage 'a':\\n> sh stages/python -m stages.a\\nresult\\nUpdating lock file 'dvc.lock'\\n")
        print("\\nTo track the changes with git, run:\\n\\n\\tgit add dvc.lock\\n\\nUse `dvc push` to send")
    """
    log = Log()
    Build(stages(a=""), 1, log).run()
    assert log.lines == [("a", "result")]


def test_a_stage_waits_until_its_memory_is_free(programs, monkeypatch):
    """Two stages of 1 GiB, of which neither uses much yet, do not fit into 1.5 GiB together."""
    memory = namedtuple("memory", "available")
    programs.update(dict.fromkeys("ab", ALONE))
    monkeypatch.setenv("MELISMA_CORES", "2")
    for gib, failures in ((1.5, 0), (2.5, 1)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda gib=gib: memory(gib * 2**30))
        run = Build(stages(a="", b=""), 2, Log())
        run.run()
        assert len(run.failed) == failures, gib


def test_jobs_follow_cores_memory_and_gpu(monkeypatch):
    memory = namedtuple("memory", "available free")
    monkeypatch.setenv("MELISMA_CORES", "16")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(64 * 2**30, 0))
    assert default_jobs("cpu", TrainConfig()) == 16
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda gpu: memory(0, (80 if gpu else 13) * 2**30))
    assert (
        default_jobs("auto", TrainConfig()),
        default_jobs("cuda:1", TrainConfig()),
        default_jobs("cpu", TrainConfig()),
    ) == (2, 13, 16)
    assert default_jobs("cuda", TrainConfig(devices=2)) == 1
    assert default_jobs("cpu", TrainConfig(threads=5)) == 3
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(7 * 2**30, 0))
    assert default_jobs("cpu", TrainConfig()) == 3
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(2**30, 0))
    assert default_jobs("cpu", TrainConfig()) == 1


def test_memory_counts_processes_and_data(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "shard").write_bytes(bytes(1000))
    (tmp_path / "table").write_bytes(bytes(500))
    stage = Stage("a", frozenset(), (tmp_path / "cache", tmp_path / "table", tmp_path / "missing"))
    assert memory_need(stage, 3) == 3 * 2**30 + 1500


SAVE = """
import signal, subprocess, sys, time, pathlib
def save(*_):
    time.sleep(0.3)
    pathlib.Path("saved").touch()
    sys.exit(130)
signal.signal(signal.SIGINT, save)
pathlib.Path("pid").write_text(str(os.getpid()))
print("ready", flush=True)
time.sleep(60)
"""


def has_ended(pid):
    """Whether the process ends within some seconds; it may stay a zombie."""
    end = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def handlers():
    """Those of a program; a job in the background of a shell starts with SIGINT ignored."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_lets_stages_save_and_starts_no_other(handlers, programs, tmp_path, number, error):
    programs["a"] = SAVE
    log = Log()
    log.on_line = lambda job, line: os.kill(os.getpid(), number)
    with pytest.raises(error):
        Build(stages(a="", b="a", c=""), 1, log).run()
    assert (tmp_path / "saved").exists()
    assert has_ended(int((tmp_path / "pid").read_text()))
    assert log.ended == [("a", "stopped")]
    assert (tmp_path / "dvc-went-on").exists()


def test_a_second_signal_kills(handlers, programs, tmp_path):
    programs["a"] = SAVE.replace("time.sleep(0.3)", "time.sleep(60)")
    log = Log()

    def interrupt_twice(job, line):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    log.on_line = interrupt_twice
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Build(stages(a=""), 1, log).run()
    assert time.monotonic() - start < 20
    assert has_ended(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "saved").exists()
    assert (tmp_path / "dvc-went-on").exists()


def test_an_error_of_the_view_ends_the_stages(programs, tmp_path):
    programs["a"] = SAVE
    log = Log()

    def fail(job, line):
        raise BrokenPipeError

    log.on_line = fail
    with pytest.raises(BrokenPipeError):
        Build(stages(a=""), 1, log).run()
    assert has_ended(int((tmp_path / "pid").read_text()))
