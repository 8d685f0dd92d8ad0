"""A stage that is stopped, however, leaves nothing half-written and no process behind."""

import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.e2e.conftest import clone, environ

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A project whose download would take a minute; each test leaves it without data and with its own files."""
    changes = {"source": {"synth": {"clips": 400, "seconds": 10.0}}, "runtime": {"workers": 2}}
    return clone(tmp_path_factory.mktemp("slow"), changes)


@pytest.fixture(autouse=True)
def as_committed(request):
    """Undo a test's edits of `slow`."""
    yield
    if "slow" in request.fixturenames:
        project = request.getfixturevalue("slow")
        project.run("git", "restore", ".")
        shutil.rmtree(project.path / "data" / "raw", ignore_errors=True)
        shutil.rmtree(project.path / "data" / ".raw.partial", ignore_errors=True)


STAGE = (sys.executable, "-m", "stages.download")


def start(project, *command: str) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """Start a command that runs stage download, wait for its first file; the process and its children."""
    process = subprocess.Popen(command, cwd=project.path, env=environ(), stdout=-1, stderr=-1, text=True)
    audio = project.path / "data" / ".raw.partial" / "audio"
    for _ in range(600):
        if list(audio.rglob("*.wav")):
            return process, psutil.Process(process.pid).children(recursive=True)
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was written in 30 s")


@pytest.mark.parametrize("after", [0.3, 1.0, 2.5])
def test_ctrl_c_at_any_time_is_one_line(slow, after):
    """A terminal sends the signal to the whole process group, also during imports and while workers start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.download"],
        cwd=slow.path,
        env=environ(),
        stdout=-1,
        stderr=-1,
        text=True,
        start_new_session=True,
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors, errors
    assert not (slow.path / "data" / "raw").exists() and not (slow.path / "data" / ".raw.partial").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(slow, number, code):
    process, workers = start(slow, *STAGE)
    assert len(workers) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert [p.name for p in (slow.path / "data").iterdir() if "raw" in p.name] == []
    assert psutil.wait_procs(workers, timeout=30)[1] == []


def test_after_kill_9_no_worker_stays_and_the_next_run_starts_afresh(slow):
    process, workers = start(slow, *STAGE)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert not (slow.path / "data" / "raw").exists()
    slow.set({"source": {"synth": {"clips": 3, "seconds": 2.0}}})
    slow.run("python", "-m", "stages.download")
    assert len(list((slow.path / "data" / "raw" / "audio").rglob("*.wav"))) == 9
    assert not (slow.path / "data" / ".raw.partial").exists()


@pytest.fixture(params=["{} && true", "exec {}"], ids=["a shell in between", "no shell"])
def repro(slow, request):
    """`slow`, with or without a shell that stays between DVC and the stage."""
    dvc_yaml = slow.path / "dvc.yaml"
    stage = "sh stages/python -m stages.download"
    dvc_yaml.write_text(dvc_yaml.read_text().replace(stage, request.param.format(stage)))
    return slow


def test_when_dvc_alone_is_killed_its_stage_ends_too(repro):
    """As `dvc queue kill` does. A stage that continued would use the cores for nothing."""
    process, processes = start(repro, "dvc", "repro", "download")
    process.kill()
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    process.communicate()
    assert [p.name for p in (repro.path / "data").iterdir() if "raw" in p.name] == []


def test_when_dvc_alone_is_killed_a_stage_that_still_imports_ends_too(repro):
    script, mark = repro.path / "stages" / "download.py", repro.path / "started"
    slower = "import time, pathlib; pathlib.Path('started').touch(); time.sleep(60)"
    script.write_text(script.read_text().replace("from pipeline", f"{slower}\nfrom pipeline", 1))
    process = subprocess.Popen(["dvc", "repro", "download"], cwd=repro.path, env=environ(), stdout=-1, stderr=-1)
    while not mark.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    mark.unlink()
    stage = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert psutil.wait_procs(stage, timeout=30)[1] == []
    process.communicate()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_read_only_folder_is_one_line(tmp_path):
    project = clone(tmp_path, {})
    (project.path / "data").chmod(0o555)
    try:
        printed = project.run("python", "-m", "stages.download", expect=1)
    finally:
        (project.path / "data").chmod(0o755)
    assert "Permission denied" in printed and "Traceback" not in printed


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """Simulated by a limit on the size of the files that the process may write."""
    resource = pytest.importorskip("resource")
    project = clone(tmp_path, {})
    project.run("python", "-m", "stages.download")
    project.run("python", "-m", "stages.windows")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-m", "stages.cache", "mel128"],
        cwd=project.path,
        env=environ() | {"PYTHONDONTWRITEBYTECODE": "1"},  # which the limit would truncate
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    assert list((project.path / "data" / "cache").iterdir()) == []
