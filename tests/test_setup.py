"""The two commands that do everything: the Makefile, how it gets uv, and what Git and DVC are told to ignore."""

import hashlib
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
UV = "#!/bin/sh\necho uv 99.0\n"

spec = importlib.util.spec_from_file_location("get_uv", ROOT / "tools" / "get_uv.py")
get_uv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(get_uv)


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """The Makefile in a folder of its own, and a PATH with just the tools that it may expect."""
    place = tmp_path / "a checkout"  # a space in its path must not matter
    place.mkdir()
    shutil.copy(ROOT / "Makefile", place)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "awk", "echo", "mkdir", "cat", "chmod"):
        (tools / name).symlink_to(shutil.which(name))
    return place, tools


def make(checkout, *arguments):
    place, tools = checkout
    environment = {"PATH": str(tools), "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1", "VIRTUAL_ENV": "/elsewhere"}
    return subprocess.run(["make", *arguments], cwd=place, env=environment, capture_output=True, text=True)


def a_uv(answer="echo a folder", name="uv"):
    """A stand-in that answers `uv cache dir` as a uv does, and prints how else it is called."""
    return (
        f'#!/bin/sh\nif [ "$1" = cache ]; then {answer}; exit; fi\n'
        f'echo "{name} $* [$PYTHONDONTWRITEBYTECODE$VIRTUAL_ENV]"\n'
    )


def test_help_is_the_default_and_names_every_target(checkout):
    result = make(checkout)
    assert result.returncode == 0
    listed = [line.split()[1] for line in result.stdout.splitlines()]
    assert listed == ["help", "setup", "repro", "compare", "test", "lint", "bench", "ui"]


def test_repro_builds_and_says_where_the_results_are(checkout):
    script(checkout[1] / "uv", a_uv())
    result = make(checkout, "repro")
    assert result.returncode == 0, result.stderr
    assert "uv run --frozen dvc repro []" in result.stdout  # bytecode is kept, and no other environment is active
    assert f"{checkout[0]}/data/report/index.html" in result.stdout
    assert "make ui" in result.stdout.splitlines()[-1]


def test_setup_takes_extras(checkout):
    script(checkout[1] / "uv", a_uv())
    assert "uv sync --frozen []" in make(checkout, "setup").stdout
    assert (
        "uv sync --frozen --extra=cluster --extra=kaggle []" in make(checkout, "setup", "EXTRAS=cluster kaggle").stdout
    )


def test_a_failed_stage_fails_make(checkout):
    script(checkout[1] / "uv", '#!/bin/sh\n[ "$1" = cache ] && echo a folder\n')
    result = make(checkout, "repro")
    assert result.returncode != 0
    assert "Report" not in result.stdout


@pytest.mark.parametrize("on_path", [False, True])
def test_without_a_usable_uv_the_project_gets_its_own(checkout, on_path):
    _, tools = checkout
    if on_path:  # one that refuses this project's required-version
        script(tools / "uv", a_uv(answer="exit 2", name="old"))
    script(tools / "python3", "#!/bin/sh\nexit 1\n")  # older than 3.11
    bring = 'mkdir -p .uv/bin; cat > .uv/bin/uv <<"E"\n' + a_uv(name="own") + "E\nchmod +x .uv/bin/uv\n"
    script(tools / "python3.12", f'#!/bin/sh\n[ "$1" = -c ] && exit\necho "$@"\n{bring}')
    result = make(checkout, "ui")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["tools/get_uv.py .uv", "own run --frozen melisma ui []"]
    assert "get_uv" not in make(checkout, "ui").stdout  # only once


def test_without_a_python_the_message_says_so(checkout):
    result = make(checkout, "test")
    assert result.returncode != 0
    assert "no Python 3.11 or newer" in result.stderr


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder with a wheel of a fake uv, the only place where pip may look."""
    folder = tmp_path / "packages"
    folder.mkdir()
    files = {
        "uv-99.0.data/scripts/uv": UV,
        "uv-99.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: uv\nVersion: 99.0\n",
        "uv-99.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "uv-99.0.dist-info/RECORD"])
    with zipfile.ZipFile(folder / "uv-99.0-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, "uv-99.0.dist-info/RECORD": record}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # an executable file
            wheel.writestr(entry, text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_USER", "1")  # would refuse --target
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")  # would refuse a bare Python
    return folder


def no_way(folder):
    raise RuntimeError("missing here")


def bundled_pip():
    """The wheel of pip that this Python brings for its virtual environments."""
    bundled = pytest.importorskip("ensurepip")
    wheels = sorted((Path(bundled.__file__).parent / "_bundled").glob("pip-*.whl"))
    if not wheels:
        pytest.skip("this Python brings no pip")
    return wheels[-1]


def test_a_python_without_pip_gets_uv_through_a_virtual_environment(tmp_path, packages, monkeypatch):
    bundled_pip()
    monkeypatch.setattr(get_uv, "by_pip", no_way)
    monkeypatch.setattr(get_uv, "by_wheel", no_way)
    get_uv.main(tmp_path / ".uv")
    assert subprocess.run([tmp_path / ".uv" / "bin" / "uv"], capture_output=True, text=True).stdout == "uv 99.0\n"
    assert not (tmp_path / ".uv.partial").exists()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """PyPI, as far as pip's wheel goes, on this machine; returns what to change about it before use."""
    wheel = bundled_pip()
    served = tmp_path / "index"
    served.mkdir()
    shutil.copy(wheel, served)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    listed = {"packagetype": "bdist_wheel", "filename": wheel.name, "url": wheel.name, "digests": {"sha256": digest}}
    (served / "json").write_text(json.dumps({"urls": [{"packagetype": "sdist"}, listed]}))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(get_uv, "PIP_INDEX", f"http://127.0.0.1:{server.server_port}/json")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(get_uv, "by_venv", no_way)
        yield served / wheel.name
        server.shutdown()


def test_a_bare_python_gets_uv_through_the_wheel_of_pip(tmp_path, packages, index, monkeypatch):
    by_pip = get_uv.by_pip

    def only_from_a_wheel(folder, pip=None):
        if pip is None:
            raise RuntimeError("No module named pip")
        by_pip(folder, pip)

    monkeypatch.setattr(get_uv, "by_pip", only_from_a_wheel)
    get_uv.main(tmp_path / ".uv")
    assert subprocess.run([tmp_path / ".uv" / "bin" / "uv"], capture_output=True, text=True).stdout == "uv 99.0\n"


def test_a_wheel_with_another_checksum_is_never_run(tmp_path, packages, index, monkeypatch):
    index.write_bytes(b"something else")
    monkeypatch.setattr(get_uv, "by_pip", no_way)
    with pytest.raises(SystemExit, match="checksum"):
        get_uv.main(tmp_path / ".uv")
    assert not (tmp_path / ".uv").exists() and not (tmp_path / ".uv.partial").exists()


def test_a_uv_that_does_not_run_is_not_kept(tmp_path, monkeypatch):
    def broken(folder):
        script(folder / "bin" / "uv", "#!/bin/sh\necho wrong machine >&2; exit 1\n")

    for name in ("by_pip", "by_venv", "by_wheel"):
        monkeypatch.setattr(get_uv, name, broken)
    with pytest.raises(SystemExit, match="wrong machine"):
        get_uv.main(tmp_path / ".uv")
    assert not (tmp_path / ".uv").exists()


def test_the_lock_is_of_this_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (own,) = [package for package in lock["package"] if package["name"] == "melisma"]
    locked = {one["name"]: one.get("specifier", "") for one in own["metadata"]["requires-dist"]}
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    asked = {one.name: one.specifier for one in map(Requirement, wanted)}
    assert {name: Requirement(f"x{text}").specifier for name, text in locked.items()} == asked
    assert lock["requires-python"].replace(" ", "") == project["requires-python"]


def test_dvc_is_set_up_without_telemetry_and_with_links():
    get = [sys.executable, "-m", "dvc", "config"]
    for key, value in (("core.analytics", "false"), ("cache.type", "reflink,hardlink,symlink,copy")):
        printed = subprocess.run([*get, "--project", key], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert printed.strip().lower() == value


def test_what_tools_leave_behind_changes_no_dependency(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    seen = ["pipeline/audio/mel.py", "data/music/take.wav", "data/raw/tracks.parquet"]
    unseen = [
        "pipeline/audio/__pycache__/mel.cpython-311.pyc",
        "stages/.ipynb_checkpoints/train.py",
        "data/music/.DS_Store",
        "data/music/._take.wav",
        "pipeline/.mypy_cache/x.json",
        "pipeline/cli.py~",
        "data/.raw.partial/tracks.parquet",
    ]
    command = [sys.executable, "-m", "dvc", "check-ignore", *seen, *unseen]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert printed.split() == unseen


def test_git_keeps_no_artefact_and_no_recording(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    kept = ["data/README.md", "data/music/README.md", "dvc.lock", "pipeline/cache/build.py", "uv.lock"]
    left = [
        "data/raw/tracks.parquet",
        "data/music/a/b.wav",
        "mlflow.db",
        "mlflow.db-wal",
        "mlartifacts/1/x",
        ".uv/bin/uv",
    ]
    command = ["git", "check-ignore", *kept, *left]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.split() == left


@pytest.mark.slow
def test_uv_comes_from_pypi(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "VIRTUAL_ENV"))}
    command = [sys.executable, ROOT / "tools" / "get_uv.py", tmp_path / ".uv"]
    subprocess.run(command, env=environment, check=True)
    done = subprocess.run([tmp_path / ".uv" / "bin" / "uv", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("uv ")
